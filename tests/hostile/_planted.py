"""Defects that are planted in the library one by one: every attacker has to find its own.

``python -m tests.hostile._planted`` prints which were found; exit status 1 when one was not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import fastnn
from tests.hostile import _commands, caches, files, interrupts, kills, networks
from tests.hostile._frame import run_checks

_MOST_CASES = 60


@contextlib.contextmanager
def changed(owner: Any, name: str, change: Callable[..., Any]) -> Iterator[None]:
    """Have `change` take the place of a function, which becomes its first argument."""
    with mock.patch.object(owner, name, _method(change, getattr(owner, name))):
        yield


def _method(change: Callable[..., Any], right: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that can be a method."""
    return lambda *arguments, **options: change(right, *arguments, **options)


# --- planted defects ----------------------------------------------------------------------------


def wrong_logit(right: Any, net: Any, x: Any) -> Any:
    """Move one logit by a thousandth of the largest."""
    out = right(net, x).copy()
    out.flat[-1] += 1e-3 * np.abs(out).max() + 1e-3
    return out


def wrong_class(right: Any, *arguments: Any) -> Any:
    """Predict another class for the last row, and count it as it should be counted."""
    report = right(*arguments)
    prediction = report.adversarial_prediction.copy()
    prediction[..., -1] = (prediction[..., -1] + 1) % arguments[0].sizes[-1]
    hits = np.count_nonzero(prediction == arguments[2], axis=-1)
    return dataclasses.replace(report, adversarial_prediction=prediction, adversarial_correct=hits)


def wrong_sign(right: Any, net: Any, x: Any, labels: Any, eps: Any, bounds: Any) -> Any:
    """Leave the last entry where it was."""
    out = right(net, x, labels, eps, bounds)
    out.flat[-1] = np.divide(x, 255)[-1, -1] if x.dtype == np.uint8 else x[-1, -1]
    return out


def changed_input(right: Any, net: Any, x: Any, *arguments: Any) -> Any:
    """Write into the inputs."""
    if x.flags.writeable and x.dtype != np.uint8:
        x[..., 0] += 1
    return right(net, x, *arguments)


def undocumented(right: Any, path: Any) -> Any:
    """Raise what no docstring says."""
    raise KeyError(str(path))


def two_lines(right: Any, path: Any) -> Any:
    """Raise a message of two lines."""
    raise ValueError(f"{path}\nis damaged")


def lasting_error_state(right: Any, net: Any, x: Any) -> Any:
    """Leave numpy's error state changed."""
    np.seterr(under="ignore" if np.geterr()["under"] == "warn" else "warn")
    return right(net, x)


def lasting_thread(right: Any, net: Any, x: Any) -> Any:
    """Leave a thread behind."""
    threading.Thread(target=threading.Event().wait, args=(5,), name="fastnn_0").start()
    return right(net, x)


# --- what finds them ----------------------------------------------------------------------------


def cases_find(module: Any, folder: Path, word: str, *planted: Any) -> bool:
    """Say whether one of the first cases of an attacker finds what is planted, in that word."""
    with changed(*planted):
        found = (module.case(seed, folder) for seed in range(_MOST_CASES))
        return any(word in text for texts in found for text in texts)


def caches_find(status: int, answer: str, said: str) -> bool:
    """Say whether a start with damaged caches is judged as broken."""
    done = subprocess.CompletedProcess([], status, answer, said)
    return bool(run_checks({"": lambda: caches.require_answer(done, "right", most_lines=1)}))


def mixture_is_found(folder: Path) -> bool:
    """Say whether layers of two networks are told from a whole one."""
    a, b = _commands.network(0), _commands.network(2)
    mixed = fastnn.MLP([a.weights[0], b.weights[1]], a.biases, a.activation)
    fastnn.save_mlp(mixed, folder / "mixed.npz")
    return bool(run_checks({"": lambda: kills.require_network(folder / "mixed.npz", [a, b])}))


def leftover_is_found(folder: Path) -> bool:
    """Say whether a temporary file is seen."""
    command = kills.COMMANDS["save to an archive"]
    kills.set_up(command, folder)
    clean = run_checks({"": lambda: kills.require_clean(command, folder)})
    (folder / ".net.npz.01234567.tmp").touch()
    return not clean and bool(run_checks({"": lambda: kills.require_clean(command, folder)}))


CASES: dict[str, tuple[Any, ...]] = {
    "a wrong logit": (networks, "logits:", fastnn.MLP, "logits", wrong_logit),
    "a wrong class": (networks, "predictions;", fastnn, "adversarial_accuracy", wrong_class),
    "a wrong sign": (networks, "fgsm: eps", fastnn, "fgsm", wrong_sign),
    "a changed input": (networks, "unchanged:", fastnn.MLP, "input_gradient", changed_input),
    "an undocumented error": (files, "KeyError", fastnn, "load_mlp", undocumented),
    "two lines": (files, "a message of", fastnn, "load_mlp", two_lines),
    "a changed state": (interrupts, "error state", fastnn.MLP, "predict", lasting_error_state),
    "a thread left": (interrupts, "threads are left", fastnn.MLP, "predict", lasting_thread),
}


def main() -> int:
    """Plant every defect and print whether it is found."""
    with tempfile.TemporaryDirectory() as place:
        folder, saved = Path(place) / "cases", Path(place) / "saved"
        files.prepare(folder)
        saved.mkdir()
        plants = {name: partial(cases_find, m, folder, *rest) for name, (m, *rest) in CASES.items()}
        plants |= {
            "a traceback": lambda: caches_find(1, "", "Traceback"),
            "a wrong answer": lambda: caches_find(0, "wrong", ""),
            "many warnings": lambda: caches_find(0, "right", "one\ntwo"),
            "a mixture": partial(mixture_is_found, folder),
            "a leftover": partial(leftover_is_found, saved),
        }
        missed = [name for name, find in plants.items() if not find()]
        for name in plants:
            print(f"{'missed' if name in missed else 'found'}  {name}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
