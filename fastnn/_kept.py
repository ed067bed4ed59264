"""A training in a file: after a kill it goes on, and ends with the bits of an undisturbed one."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._adversary import Adversary
from fastnn._engine.descent import Descent, Settings
from fastnn._history import History
from fastnn._runtime.files import atomic_write, require_file_place
from fastnn.attacks._names import name_of
from fastnn.networks import MLP
from fastnn.reports._sources import digest

_FORMAT = "fastnn training 1"
_DIGITS = 16  # of a digest


class Kept:
    """What `train` keeps after every epoch: parameters, velocities, the generator, the history.

    Parameters
    ----------
    path : Path
    about : dict of str to str
        What the training is of. A file about another one is refused.
    before : float
        The loss before the first step.
    """

    def __init__(self, path: Path, about: dict[str, str], before: float) -> None:
        require_file_place(path)
        self._path, self._about, self.before = path, about, before

    def attach(
        self,
        generator: np.random.Generator,
        history: History,
        epochs: int,
        restored: Callable[[], None],
    ) -> None:
        """Name what else belongs to the training, and what is to be called when it goes on."""
        self._generator, self._history = generator, history
        self._epochs, self._restored = epochs, restored

    def begin(self, descent: Descent) -> int:
        """Put a descent where the file says, and return how many epochs it has behind it.

        Raises
        ------
        ValueError
            The file is of another training, of more epochs, or damaged.
        """
        if not self._path.exists():
            return 0
        words, arrays = self._read()
        now = digest("", arrays[: len(descent.parameters)])[:_DIGITS]
        for name, ours in self._about.items():
            known = {words["about"].get(name)} | ({now} if name == "network" else set())
            if ours not in known:
                raise ValueError(
                    f"{self._path} is the checkpoint of another training: its {name} is "
                    f"{words['about'].get(name)!r}, this one's is {ours!r}"
                )
        done = len(words["history"]["train_loss"])
        if done > self._epochs:
            raise ValueError(f"{self._path} has {done} epochs, more than epochs={self._epochs}")
        # The network of the start may be gone: from now on, it is that of the file.
        self._about = words["about"]
        descent.restore(arrays)
        self._generator.bit_generator.state = _decoded(words["generator"])
        for name, values in words["history"].items():
            getattr(self._history, name).extend(values)
        self.before = words["before"]
        self._restored()
        return done

    def keep(self, descent: Descent) -> None:
        """Write the descent after an epoch; the old file stays until the new one is complete."""
        words = {
            "format": _FORMAT,
            "about": self._about,
            "before": self.before,
            "history": vars(self._history),
            "generator": _encoded(self._generator.bit_generator.state),
        }
        arrays: dict[str, Any] = {f"array_{k}": array for k, array in enumerate(descent.state)}
        with atomic_write(self._path) as file:
            np.savez(file, words=np.array(json.dumps(words)), **arrays)

    def _read(self) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """Return the words and the arrays of the file; no pickle is read."""
        try:
            # numpy would leave the file of a damaged archive open.
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                words = json.loads(str(archive["words"]))
                if words["format"] != _FORMAT:
                    raise ValueError(words["format"])
                names = [f"array_{k}" for k in range(len(archive.files) - 1)]
                return words, [archive[name] for name in names]
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{self._path} is no checkpoint of a training, or is damaged"
            ) from error


def about_training(
    net: MLP,
    judged: Iterable[Any],
    settings: Settings,
    adversary: Adversary | None,
    rng: Any,
) -> dict[str, str]:
    """Return what a training is of: version, network, data, settings and generator.

    Each of `judged` is a pair (x, labels), or yields such pairs.
    """
    from fastnn._version import __version__

    data = [
        digest("", block)
        for samples in judged
        for block in ([samples] if isinstance(samples, tuple) else samples)
    ]
    words: list[Any] = [net.activation, str(net.dtype), asdict(settings)]
    if adversary is not None:
        kinds = [f"{type(one).__module__}.{name_of(one)}" for one in adversary.attack._parts()]
        words += [kinds, adversary.eps, adversary.bounds]
    if isinstance(rng, np.random.Generator):
        rng = _encoded(rng.bit_generator.state)
    found = {
        "network": digest("", [p.reshape(-1) for p in (*net.weights, *net.biases)]),
        "data": digest(data, []),
        "settings": digest(words, []),
        "rng": digest(repr(rng), []),
    }
    return {"fastnn": __version__} | {name: text[:_DIGITS] for name, text in found.items()}


def _encoded(state: Any) -> Any:
    """Return the state of a generator as JSON holds it."""
    if isinstance(state, dict):
        return {name: _encoded(value) for name, value in state.items()}
    if isinstance(state, np.ndarray):
        return {"dtype": state.dtype.str, "values": state.tolist()}
    return state.item() if isinstance(state, np.generic) else state


def _decoded(state: Any) -> Any:
    """Return the state of a generator from JSON."""
    if not isinstance(state, dict):
        return state
    if state.keys() == {"dtype", "values"}:
        return np.array(state["values"], state["dtype"])
    return {name: _decoded(value) for name, value in state.items()}
