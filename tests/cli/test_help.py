"""`--help` of every command, completion of words in shells, and what is imported for them."""

import argparse
import re
import shutil
import subprocess
import sys
from dataclasses import fields

import pytest

from fastnn import _recipe
from fastnn.bench import session
from fastnn.cli._main import COMMANDS, build_parser


def command(name):
    """Return the parser of a command."""
    (found,) = (a for a in build_parser(name)._actions if isinstance(a, argparse._SubParsersAction))
    return found.choices[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_examples_that_the_command_takes(fastnn, name):
    status, out, err = fastnn(name, "--help")
    assert (status, err) == (0, "")
    examples = re.findall(r"^  (fastnn .*)$", out.split("examples:")[1], re.MULTILINE)
    assert any(line.split()[1] == name for line in examples)
    import shlex

    for line in examples:
        _, chosen, *words = shlex.split(line.split(" >")[0])
        build_parser(chosen).parse_args([chosen, *words])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_with_a_value_says_its_default(name):
    parser = command(name)
    settings = [g for g in parser._action_groups if g.title == "settings of attacks"]
    elsewhere = [action for group in settings for action in group._group_actions]
    parser.format_help()
    wrong = [
        action.option_strings
        for action in parser._actions
        if action.option_strings and action.nargs != 0 and action not in elsewhere
        if "(default: " not in action.help and "default: no)" not in action.help
    ]
    assert wrong == []


def test_the_help_of_train_has_the_recipe_s_defaults(fastnn):
    text = " ".join(fastnn("train", "--help")[1].split())
    options = {action.dest for action in command("train")._actions}
    assert {"epochs", "batch_size", "learning_rate", "seed"} <= options
    for field in fields(_recipe.Recipe):
        if field.name not in options:
            continue
        full, sample = (getattr(r, field.name) for r in (_recipe.FULL, _recipe.SAMPLE))
        if full is None:  # an attack, its eps and bounds
            continue
        if field.name == "sizes":
            full, sample = (" ".join(map(str, sizes)) for sizes in (full, sample))
        few = "" if full == sample else f"; {sample} for 20,000 samples or fewer"
        assert f"(default: {full}{few})" in text, field.name


def test_the_help_of_bench_names_the_jobs(fastnn):
    text = "".join(fastnn("bench", "--help")[1].split())
    assert f"jobs:{','.join(session.job_names())}" in text


def test_help_lines_fit_80_columns(fastnn, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name in COMMANDS:
        lines = fastnn(name, "--help")[1].splitlines()
        assert max(map(len, lines)) <= 80, name


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--eps"], ["fetch", "-h"]])
def test_what_needs_no_library_imports_none(words):
    code = (
        "import sys\nfrom fastnn.cli import main\n"
        f"try:\n    main({words})\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'numba', 'matplotlib', 'tqdm', 'platformdirs'}\n"
        "print('imported', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported []"


def test_an_attack_imports_neither_matplotlib_nor_tqdm(weights, digits):
    code = (
        "import sys\nfrom fastnn.cli import main\n"
        f"main(['attack', {str(weights)!r}, '--data', {str(digits)!r}])\n"
        "print('imported', sorted({'matplotlib', 'tqdm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported []"


# --- completion

COMPLETED = {
    "fastnn at": ["attack"],
    "fastnn c": ["check-adversarial", "completion"],
    "fastnn attack --sa": ["--save-adversarial"],
    "fastnn attack --eps 0.1 --attack mini": ["minimal-norm"],
    "fastnn attack --targets n": ["next"],
    "fastnn attack --source ": ["auto", "mnist", "sample"],
    "fastnn train --activation s": ["sigmoid"],
    "fastnn completion ": ["bash", "zsh", "fish"],
    "fastnn bench --quer": [],
    "fastnn train --step": [],
    "fastnn attack --step": ["--step-size", "--steps"],
    "fastnn train --out ": [],
}


def in_bash(script, line):
    """Return what bash offers for the last word of a line."""
    asks = (
        f"{script}\nread -ra COMP_WORDS <<< {line + 'x'!r}\n"
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
        "COMP_WORDS[COMP_CWORD]=${COMP_WORDS[COMP_CWORD]%x}\n"
        'COMPREPLY=(); _fastnn; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", asks], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [word for word in done.stdout.splitlines() if word]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_words_that_bash_completes(fastnn):
    script = fastnn("completion", "bash")[1]
    for line, words in COMPLETED.items():
        assert sorted(in_bash(script, line)) == sorted(words), line


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_words_that_fish_completes(fastnn, tmp_path):
    (tmp_path / "fastnn.fish").write_text(fastnn("completion", "fish")[1], encoding="utf-8")
    for line, words in COMPLETED.items():
        asks = f"source {tmp_path / 'fastnn.fish'}; complete -C {line!r}"
        done = subprocess.run(
            ["fish", "--no-config", "-c", asks], capture_output=True, text=True, check=True
        )
        found = [word.split("\t")[0] for word in done.stdout.splitlines()]
        if words:
            assert sorted(found) == sorted(words), line


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh_takes_the_script(fastnn, tmp_path):
    (tmp_path / "fastnn.zsh").write_text(fastnn("completion", "zsh")[1], encoding="utf-8")
    asks = f"source {tmp_path / 'fastnn.zsh'}; print $_comps[fastnn]"
    done = subprocess.run(["zsh", "-fc", asks], capture_output=True, text=True, check=True)
    assert "_bash_complete" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_script_has_every_option(fastnn, shell):
    script = fastnn("completion", shell)[1]
    for name in COMMANDS:
        for action in command(name)._actions:
            for option in action.option_strings:
                word = option.lstrip("-")
                form = rf"-[ls] {word}\b" if shell == "fish" else re.escape(option) + r"\b"
                lines = [line for line in script.splitlines() if name in line]
                assert any(re.search(form, line) for line in lines), (name, option)


def test_another_shell_is_refused(fastnn):
    status, out, err = fastnn("completion", "tcsh")
    assert (status, out) == (2, "")
    assert "invalid choice: 'tcsh'" in err
