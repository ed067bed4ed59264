"""What attacks are called in reports, and in which norms they measure changes."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from fastnn.attacks import _norms as norms
from fastnn.attacks._base import Attack
from fastnn.attacks._function import Given
from fastnn.attacks._in_turn import InTurn


def norms_of(attack: Attack) -> tuple[str, ...]:
    """Return the norms that an attack limits changes in: several only for several in turn.

    Raises
    ------
    ValueError
        There is no norm of that name.
    """
    parts = attack._parts()
    if parts[0] is not attack:
        return tuple(dict.fromkeys(norm for one in parts for norm in norms_of(one)))
    norms.require(attack.norm)
    return (attack.norm,)


def name_of(attack: Attack) -> str:
    """Return the class of an attack with the settings that are not the default ones."""
    if isinstance(attack, Given):
        return attack.name
    if type(attack) is InTurn:
        return ", then ".join(name_of(one) for one in attack.attacks)
    changed = [f"{setting}={getattr(attack, setting)!r}" for setting in _changed(attack)]
    return type(attack).__name__ + (f"({', '.join(changed)})" if changed else "")


def names_of(attack: Attack) -> tuple[str, ...]:
    """Return the names of the attacks in turn, or of the one; all are different."""
    parts = attack._parts()
    if len(parts) == 1:  # the usual case, for less time
        return (name_of(parts[0]),)
    names: list[str] = []
    for one in parts:
        name = name_of(one)
        again = sum(other == name or other.startswith(f"{name} no. ") for other in names)
        names.append(f"{name} no. {again + 1}" if again else name)
    return tuple(names)


def _changed(attack: Any) -> list[str]:
    """Return the settings of an attack that have other values than the default ones."""
    kind: Any = type(attack)
    return [name for name, usual in _settings(kind) if getattr(attack, name) != usual]


@functools.cache
def _settings(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Return the settings of a class of attacks, with their default values."""
    if not dataclasses.is_dataclass(kind):
        return ()
    return tuple((s.name, s.default) for s in dataclasses.fields(kind) if s.init and s.repr)
