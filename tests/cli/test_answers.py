"""Known answers of kernels: all are right here, every branch is entered, and faults are found."""

import functools
import inspect
import json
import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from fastnn._engine import losses, masked
from fastnn._kernels import (
    attack_steps,
    balls,
    budgets,
    descent,
    elementwise,
    exponentials,
    increments,
    logits,
    masked_products,
    narrow_jobs,
    narrow_passes,
    pairing,
    sign_products,
    squares,
)
from fastnn._runtime.processors import vector_bytes
from fastnn.cli import doctor
from fastnn.cli._answers import _widths
from fastnn.cli._answers._compare import answer, near
from fastnn.cli._answers._widths import GROUPS, ask, ask_all, widths


@pytest.mark.parametrize("group", GROUPS)
def test_every_answer_is_right_here(group):
    found = ask(group)
    assert found["wrong"] == []
    assert found["answers"] > 5
    assert found["error"] <= 0.5


# --- a fault in a kernel is found, and named


def last_entry(out, by=1e-3):
    """Make the last entry wrong: such a fault hides where whole vectors do not reach."""
    out.reshape(-1)[-1] += by


def kept_sign(kernel):
    """Return a kernel of gradient descent that climbs."""

    def wrong(scale, l2, momentum, rate, total, velocity, parameter):
        kernel(scale, l2, momentum, -rate, total, velocity, parameter)

    return wrong


def after(change, position=-1):
    """Return a function that makes a kernel wrong: its argument in a position, after the call."""

    def plant(kernel):
        def wrong(*arguments):
            result = kernel(*arguments)
            change(arguments[position])
            return result

        return wrong

    return plant


def one_more(kernel):
    return lambda *arguments: kernel(*arguments) + 1


def swap(order):
    order[:2] = order[1::-1].copy()


FAULTS = {
    (elementwise, "_relu"): ("entries", after(last_entry)),
    (elementwise, "_relu_grad"): ("entries", after(lambda out: np.nan_to_num(out, copy=False))),
    (elementwise, "_scale_rows"): ("entries", after(last_entry)),
    (exponentials, "_sigmoid"): ("e**x", after(lambda out: last_entry(out, 1e-6))),
    (exponentials, "_add_bias_tanh_direction"): ("e**x", after(last_entry)),
    (logits, "_argmax"): ("rows of logits", after(lambda out: out.__setitem__(0, 1))),
    (logits, "_loss_residual"): ("rows of logits", one_more),
    (logits, "_attack_residual"): ("rows of logits", after(last_entry, -2)),
    (masked_products, "_mark"): ("products of tiles", one_more),
    (masked_products, "_masked_product"): ("products of tiles", after(last_entry)),
    (pairing, "_pair_alike"): ("products of tiles", after(swap)),
    (sign_products, "_mark_steps"): ("products of moved inputs", one_more),
    (sign_products, "_add_sign_products"): ("products of moved inputs", after(last_entry)),
    (narrow_jobs, "_forward"): ("products of few rows", after(last_entry)),
    (narrow_jobs, "_backward"): ("products of few rows", after(last_entry)),
    (narrow_jobs, "_backward_and_step"): ("products of few rows", after(last_entry, 1)),
    (narrow_passes, "_narrow_product"): ("attacks of few rows", after(last_entry)),
    (narrow_passes, "_attack_by_sign"): (
        "attacks of few rows",
        after(lambda moved: moved.__setitem__(0, 1 - moved[0]), -4),
    ),
    (attack_steps, "_signed_step"): ("signed steps", after(last_entry)),
    (attack_steps, "_shift_by_every_eps"): ("signed steps", after(lambda out: last_entry(out, 1))),
    (budgets, "_entries_beyond"): ("signed steps", one_more),
    (balls, "_ball_step"): ("steps in L2 and L1", after(last_entry)),
    (balls, "_fast_gradient"): ("steps in L2 and L1", after(last_entry)),
    (balls, "_move"): ("steps in L2 and L1", after(last_entry)),
    (descent, "_sgd_step"): ("gradient descent", kept_sign),
    (descent, "_add_column_sums"): ("gradient descent", after(last_entry)),
    (increments, "_surprises"): ("searches", after(last_entry)),
    (increments, "_advance"): ("searches", after(last_entry)),
    (squares, "_with_square"): ("searches", after(last_entry)),
}


@functools.cache
def compile_all(group):
    """Compile the kernels of a group: a plain function in place of one could not be compiled."""
    ask(group)


@pytest.mark.parametrize("place", FAULTS, ids=lambda place: place[1])
def test_a_wrong_kernel_is_found(monkeypatch, place):
    module, name = place
    group, plant = FAULTS[place]
    compile_all(group)
    monkeypatch.setattr(module, name, plant(getattr(module, name)))
    found = ask(group)
    assert found["wrong"]
    text = " ".join(found["wrong"])
    assert name.strip("_") in text or (group == "products of few rows" and "_step_task" in text)
    assert "expected" in text


def test_a_wrong_product_is_found_in_whole_passes(monkeypatch):
    right = masked.masked_product

    def wrong(a, panels, masks, sums, out):
        done = right(a, panels, masks, sums, out)
        out[0, :] += 3 * np.cos(np.arange(out.shape[1]))
        return done

    monkeypatch.setattr(masked, "masked_product", wrong)
    assert any("VerificationError: row" in text for text in ask("whole passes")["wrong"])


def test_a_residual_that_cancels_is_found(monkeypatch):
    def cancelling(z, labels, out):
        losses.softmax(z, out)
        out[np.arange(len(z)), labels] -= 1
        return np.zeros(len(z), bool)

    monkeypatch.setattr(losses, "attack_residual", cancelling)
    assert "attack_residual of float32" in ask("rows of logits")["wrong"][0]


@pytest.mark.parametrize(
    ("found", "exact", "wrong"),
    [
        ([1.0, 2.0], [1.0, 2.0], False),
        ([np.nan, np.inf], [np.nan, np.inf], False),
        ([1.0 + 2e-16, 2.0], [1.0, 2.0], False),
        ([1.0, 2.1], [1.0, 2.0], True),
        ([np.nan, 2.0], [1.0, 2.0], True),
        ([1.0, np.inf], [1.0, 2.0], True),
        ([1.0, 2.0], [1.0, np.nan], True),
        ([1.0, -np.inf], [1.0, np.inf], True),
    ],
)
def test_what_is_wrong(found, exact, wrong):
    exact = np.array(exact)
    with np.errstate(invalid="ignore"):
        allowed = near(exact, np.dtype(float))
    assert bool(answer("a kernel", np.array(found), exact, allowed).wrong) == wrong


# --- every branch is entered

_, FIRST = inspect.getsourcelines(masked_products.shape_for)
LINES_OF_SHAPES = FIRST, FIRST + len(inspect.getsourcelines(masked_products.shape_for)[0])
PLAIN = """
import sys
sys.setswitchinterval(1e-5)  # threads that wait for each other in plain Python
from fastnn.cli._answers._widths import GROUPS, ask
for group in GROUPS:
    if group != "whole passes":  # the others enter all branches, in a fraction of the time
        assert not ask(group)["wrong"], ask(group)
"""


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="runs in a process of its own")
def test_the_inputs_enter_every_branch_of_every_kernel(tmp_path):
    script = tmp_path / "plain.py"
    script.write_text(PLAIN)
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "COVERAGE_FILE": str(tmp_path / "data")}
    left_out = "*/cache.py,*/jit.py,*/timing.py"
    for words in (
        ["run", "--branch", str(script)],
        ["json", "--include=*/_kernels/*", f"--omit={left_out}", "-o", str(tmp_path / "found")],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "coverage", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    files = json.loads((tmp_path / "found").read_text())["files"]
    assert len(files) > 15
    for path, found in files.items():
        missing = set(found["missing_lines"])
        if path.endswith("masked_products.py"):  # the shapes of other processors
            missing -= set(range(*LINES_OF_SHAPES))
        assert not missing, f"{path}: {sorted(missing)}"


# --- all widths, in processes of their own


def test_the_widths_are_those_that_this_processor_has():
    every = widths()
    assert max(every) == 8 * vector_bytes()
    assert every[max(every)] == {}
    assert all(settings["NUMBA_CPU_NAME"] for bits, settings in every.items() if bits < max(every))


WRONG = """
from fastnn._kernels import elementwise as e
right = e._add_bias_relu
def wrong(bias, z):
    right(bias, z)
    z[0, 0] = 7
e._add_bias_relu = wrong
from fastnn.cli._answers import _widths as w
w.GROUPS = {"entries": w.GROUPS["entries"], "searches": w.GROUPS["searches"]}
"""
CASES = {
    "w.main()": ["FAIL  entries, 64 bits", "_add_bias_relu of float32: [0, 0] is 7, expected"],
    "import os, signal; os.kill(os.getpid(), signal.SIGILL)": ["the process ended by SIGILL"],
    "raise MemoryError('no room')": ["the process ended with status 1: MemoryError: no room"],
    "import time; time.sleep(99)": ["no answer within 9 seconds"],
}


@pytest.mark.parametrize("end", CASES, ids=["wrong", "illegal", "error", "endless"])
def test_the_command_names_what_is_wrong(monkeypatch, capsys, end):
    monkeypatch.setattr(_widths, "_COMMAND", (sys.executable, "-c", WRONG + end))
    if "sleep" in end:
        monkeypatch.setattr(_widths, "_SECONDS", 9)
    monkeypatch.setattr(_widths, "widths", lambda: {64: {}})
    monkeypatch.setattr(_widths, "GROUPS", {"entries": None, "searches": None})
    monkeypatch.setattr(doctor, "diagnose", lambda machine: [])
    from fastnn import cli

    assert cli.main(["doctor", "--check", "--quiet"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    for words in CASES[end]:
        assert " ".join(words.split()) in out
    assert ("searches, 64 bits" in out) == (end == "w.main()")
    assert out.endswith("1 wrong")


def test_groups_that_are_right_are_a_line_each(monkeypatch):
    code = WRONG.replace("= 7", "+= 0") + "w.main()"
    monkeypatch.setattr(_widths, "_COMMAND", (sys.executable, "-c", code))
    monkeypatch.setattr(_widths, "GROUPS", {"entries": None, "searches": None})
    first, second = (doctor.judge_answers(found, 512) for found in ask_all({}))
    assert (first.name, second.name) == ("entries, 512 bits", "searches, 512 bits")
    assert first.status == second.status == "ok"
    assert first.text.startswith("22 answers are right, the largest error is 0.")
