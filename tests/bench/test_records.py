"""Records: written values are read again; values of other types are refused with their place."""

from dataclasses import asdict, dataclass

import pytest

from fastnn.bench import messages
from fastnn.bench.records import from_json, one_line


@dataclass(frozen=True)
class Inner:
    rate: float
    name: str | None


@dataclass(frozen=True)
class Outer:
    count: int
    ready: bool
    inner: Inner
    rates: tuple[tuple[float, ...], ...]
    notes: dict[str, str]


VALUES = {
    "count": 3,
    "ready": True,
    "inner": {"rate": 2, "name": None},
    "rates": [[1.0, 2.5], []],
    "notes": {"a": "b"},
}
RECORD = Outer(3, True, Inner(2, None), ((1.0, 2.5), ()), {"a": "b"})


def test_a_record_is_read_from_its_values():
    assert from_json(Outer, VALUES | {"unknown": 1}) == RECORD
    assert asdict(RECORD)["inner"] == VALUES["inner"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 3.0}, "Outer.count: expected int, found 3.0"),
        ({"count": True}, "Outer.count: expected int, found True"),
        ({"ready": 1}, "Outer.ready: expected bool, found 1"),
        ({"inner": None}, "Outer.inner: expected Inner, found None"),
        ({"inner": {"rate": 1.0}}, "Outer.inner: name missing"),
        ({"inner": {}}, "Outer.inner: rate, name missing"),
        ({"inner": {"rate": float("nan"), "name": ""}}, "Outer.inner.rate: expected float, found "),
        ({"inner": {"rate": 10**400, "name": ""}}, "Outer.inner.rate: expected float, found 1000"),
        ({"inner": {"rate": True, "name": ""}}, "Outer.inner.rate: expected float, found True"),
        ({"inner": {"rate": 1, "name": "a\nb"}}, r"Outer.inner.name: expected str, found 'a\\nb'"),
        ({"rates": 1.0}, "Outer.rates: expected tuple, found 1.0"),
        ({"rates": [[1.0], ["x"]]}, r"Outer.rates\[1\]\[0\]: expected float, found 'x'"),
        ({"notes": []}, "Outer.notes: expected dict, found"),
        ({"notes": {"a": 1}}, "Outer.notes, an entry: expected str, found 1"),
        ({"notes": {"\x1b": "a"}}, r"Outer.notes, an entry: expected str, found '\\x1b'"),
    ],
)
def test_other_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        from_json(Outer, VALUES | changes)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_messages_fit_on_one_line():
    assert one_line("counts [1\n 2]\x1b[0m \u2028 end") == "counts [1 2] [0m end"


@pytest.mark.parametrize(
    "reply",
    [
        messages.Ready(),
        messages.Absent("no torch"),
        messages.Prepared(3, "float32", (95.0, 2), None),
        messages.Prepared(3, "float32", None, 10),
        messages.Timed(0.25),
        messages.Wrong("counts differ"),
    ],
)
def test_replies_arrive_unchanged(reply):
    line = messages.encode(reply)
    assert line.count("\n") == 1
    assert messages.decode_reply(line) == reply


@pytest.mark.parametrize("command", [messages.Prepare("sigmoid", 10), messages.Time(4)])
def test_commands_arrive_unchanged(command):
    assert messages.decode_command(messages.encode(command)) == command
