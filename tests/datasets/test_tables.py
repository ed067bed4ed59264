"""Tables of text (CSV): every form, and errors that name line and column."""

from pathlib import Path

import numpy as np
import pytest

from fastnn import load_data
from fastnn.datasets import _tables


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(text, labels=None):
    Path("t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_data("t.csv", labels)


NUMBERS = [[5.1, 3.5], [4.9, 3.0]]
FORMS = {
    "names": "a,b,kind\n5.1,3.5,x\n4.9,3.0,y\n",
    "no names": "5.1,3.5,x\n4.9,3.0,y\n",
    "label first": "label,a,b\nx,5.1,3.5\ny,4.9,3.0\n",
    "label between": "a,Class,b\n5.1,x,3.5\n4.9,y,3.0\n",
    "semicolons": "a;b;kind\n5.1;3.5;x\n4.9;3.0;y\n",
    "tabs": "a\tb\tkind\n5.1\t3.5\tx\n4.9\t3.0\ty\n",
    "quotes": 'a,b,kind\n"5.1",3.5,"x"\n4.9,3.0,"y"\n',
    "Windows": "\ufeffa,b,kind\r\n5.1,3.5,x\r\n\r\n4.9,3.0,y",
    "blanks": "\n a , b , kind\n 5.1 , 3.5 , x\n 4.9 , 3.0 , y\n\n",
    "columns by number": "0,1,kind\n5.1,3.5,x\n4.9,3.0,y\n",
    "exponents": "a,b,kind\n51e-1,3.5,x\n+4.9,.3E1,y\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form):
    found = read(FORMS[form])
    assert found.x.tolist() == NUMBERS
    assert found.x.dtype == np.float64
    assert (found.labels.tolist(), found.classes) == ([0, 1], ("x", "y"))
    assert found.source == "t.csv, 2 samples"


def test_a_label_may_have_a_separator_in_quotes():
    assert read('a,kind\n1.5,"x, or y"\n2.5,z\n').classes == ("x, or y", "z")


@pytest.mark.parametrize("labels", ["b", 1, "1", -2, "-2"])
def test_the_column_of_labels_is_named_or_counted(labels):
    found = read("a,b,c\n0.5,2,1.5\n0.25,0,2.5\n", labels)
    assert found.labels.tolist() == [2, 0]
    assert found.x.tolist() == [[0.5, 1.5], [0.25, 2.5]]


def test_a_label_first_and_no_names():
    assert read("7,0.5\n3,0.25\n", 0).labels.tolist() == [7, 3]


def test_pixels_become_uint8_and_other_numbers_float64():
    rows = [[k % 10, *((k * j) % 256 for j in range(64))] for k in range(5)]
    text = "label," + ",".join(f"p{j}" for j in range(64)) + "\n"
    text += "".join(",".join(map(str, row)) + "\n" for row in rows)
    found = read(text)
    assert found.x.dtype == np.uint8
    assert found.x.tolist() == [row[1:] for row in rows]
    assert found.labels.tolist() == [row[0] for row in rows]
    assert read(text.replace(",252", ",252.5")).x.dtype == np.float64
    few = "\n".join(",".join(map(str, row[:10])) for row in rows)
    assert read(few, 0).x.dtype == np.float64


def test_a_table_of_many_blocks(monkeypatch):
    monkeypatch.setattr(_tables, "_BLOCK", 30)
    text = "a,b,y\n" + "".join(f"{k},{k + (k == 90) / 2},{k % 3}\n" for k in range(100))
    found = read(text)
    assert found.x[:, 0].tolist() == list(range(100))
    assert found.x[90, 1] == 90.5
    assert found.labels.tolist() == [k % 3 for k in range(100)]
    with pytest.raises(ValueError, match=r"t.csv, line 71, column 2 \('b'\) is 'oops', expected"):
        read(text.replace("69,69.0", "69,oops"))


ERRORS = {
    "empty": ("", "t.csv is empty; expected .npy, .npz, IDX or a table of text"),
    "blank": (" \n\n", "t.csv is empty, expected a table of numbers"),
    "names alone": ("a,b,label\n", "t.csv has names of columns and no lines below them"),
    "one column": ("a\n1\n", "t.csv, line 1: one column, expected inputs and a label, .*"),
    "a word": (
        "a,b,y\n1,2,0\n1,x,0\n",
        r"t.csv, line 3, column 2 \('b'\) is 'x', .*",
    ),
    "no names": ("1,2,0\n1,x,0\n", r"t.csv, line 2, column 2 is 'x', expected a number"),
    "a hole": ("a,b,y\n1,,0\n", r"t.csv, line 2, column 2 \('b'\) is empty, expected a number"),
    "nan": ("a,b,y\n1,nan,0\n", r"t.csv, line 2, column 2 \('b'\) is nan, expected a finite .*"),
    "inf": ("a,b,y\n1,-inf,0\n", r"t.csv, line 2, column 2 \('b'\) is -inf, expected a finite .*"),
    "too large": (
        "a,y\n1e999,0\n",
        r"t.csv, line 2, column 1 \('a'\) is 1e999, .*",
    ),
    "a bad label": (
        "a,y\n1,0\n2,x\n",
        r"t.csv, line 3, column 2 \('y'\) is 'x', .*",
    ),
    "half a label": ("a,y\n1,0\n2,0.5\n", r"t.csv: labels\[1\] is 0.5, expected a whole number"),
    "a negative label": ("a,y\n1,0\n2,-1\n", r"t.csv: labels\[1\] is -1, expected classes .*"),
    "a label missing": ("a,y\n1,x\n2,\n", r"t.csv: labels\[1\] is '', expected the name .*"),
    "too few": ("a,b,y\n1,2,0\n1,2\n", "t.csv, line 3: 2 columns, but 3 in the first"),
    "too many": ("a,b,y\n1,2,0\n\n1,2,3,4\n", "t.csv, line 4: 4 columns, but 3 in the first"),
    "an index": (",a,y\n0,1,0\n", r"t.csv: column 1 has no name, as an index .*\(index=False\)"),
    "latin": (b"a,b,y\n1,2,\xe9\n", "t.csv, line 2: it is no text in UTF-8"),
    "UTF-16": ("a,b,y\n1,2,0\n".encode("utf-16-le"), "t.csv, line 1: it is no text, it has a .*"),
    "a long name": ("a,kind\n1,x\n2," + "y" * 101, "t.csv, line 3: label 'y{40}...'"),
    "an open quote": ('a,b,y\n1,"2,0\n', "t.csv, line 2: no line of a table .*"),
    "underscores": ("a,b,y\n1_0,2,0\n", r"t.csv, line 2, column 1 \('a'\) is '1_0', expected .*"),
    "a long cell": ('a,b\n1,"' + "2" * 200_000 + '"\n', "t.csv, line 2: no line of a table .*"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_is_wrong_is_named(case):
    text, message = ERRORS[case]
    with pytest.raises(ValueError, match=rf"\A{message}\Z"):
        read(text)


def test_no_such_column():
    with pytest.raises(ValueError, match=r"t.csv has no column 'c'; its columns are 'a', 'b'\Z"):
        read("a,b\n1,0\n", "c")
    with pytest.raises(ValueError, match=r"no column '2'; its columns are 0 to 1, and have no"):
        read("1,0\n", "2")


def test_a_billion_columns_and_endless_lines_take_little_memory(monkeypatch):
    monkeypatch.setattr(_tables, "MOST_COLUMNS", 1000)
    with pytest.raises(ValueError, match=r"t.csv, line 1: 100,001 columns, at most 1,000\Z"):
        read("0," * 100_000 + "0\n")
    monkeypatch.setattr(_tables, "LONGEST_LINE", 1000)
    with pytest.raises(ValueError, match=r"t.csv, line 2: it has more than 1,000 bytes\Z"):
        read("a,y\n" + "1" * 100_000)
    for limit in ("MOST_COLUMNS", "LONGEST_LINE"):  # the real limits
        monkeypatch.undo()
        assert getattr(_tables, limit) <= 1 << 24
