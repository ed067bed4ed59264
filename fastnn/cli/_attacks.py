"""Attacks as words: ``pgd`` with options such as ``--steps 40``, or ``pgd(steps=40, norm=l2)``."""

from __future__ import annotations

import argparse
import contextlib
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from fastnn.cli.options import number

if TYPE_CHECKING:
    from fastnn.attacks import Attack

# The settings that have an option: the form of the value, and what it is.
SETTINGS = {
    "steps": ("N", "gradient steps"),
    "step_size": ("SIZE", "length of a step in the attack's norm, such as 2/255"),
    "restarts": ("N", "how often to begin, each time from another random point"),
    "norm": ("NORM", "norm of the change that eps limits: linf, l2 or l1"),
    "random_start": ("yes|no", "begin at a random point near the clean image"),
    "momentum": ("SHARE", "share of the direction before that each step keeps"),
    "loss": ("LOSS", "loss that the attack raises: ce, dlr or dlr-targeted"),
    "queries": ("N", "images that are tried for each clean one"),
    "share": ("SHARE", "share of the pixels that the first squares have"),
    "overshoot": ("SHARE", "share by which the change is made longer"),
    "halvings": ("N", "how often the interval of eps is halved"),
}
_FORM = re.compile(r"\s*([\w-]+)\s*(?:\((.*)\)\s*)?", re.DOTALL)
_ITEM = re.compile(r"\s*(\w+)\s*=\s*(.+?)\s*", re.DOTALL)
_WORDS = {"None": None, "True": True, "yes": True, "False": False, "no": False}
_LITTLE = ("steps", "restarts", "queries", "halvings")  # what makes an attack long

Form = tuple[str, dict[str, Any]]  # the attack's name, its settings


def add_attack_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --attack and an option for each setting."""
    parser.add_argument(
        "--attack",
        metavar="NAME",
        type=form,
        action="append",
        help="name of an attack, or with its settings: 'pgd(steps=100, norm=l2)'; several times "
        "for several attacks in one table (default: fgsm)",
    )
    group = parser.add_argument_group(
        "settings of attacks",
        "Each is for all attacks in --attack that have it and do not set it in\n"
        "parentheses. Every attack has its own defaults: see the list below.",
    )
    for name, (metavar, text) in SETTINGS.items():
        option = f"--{name.replace('_', '-')}"
        group.add_argument(option, metavar=metavar, type=scalar, help=text)


def scalar(text: str) -> Any:
    """Return what a word means: a whole number, a number, a fraction, yes, no, None, or a word."""
    word = text.strip()
    if word in _WORDS:
        return _WORDS[word]
    for kind in (int, number):
        with contextlib.suppress(ValueError, argparse.ArgumentTypeError):
            return kind(word)
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word


def form(text: str) -> Form:
    """Read ``NAME`` or ``NAME(setting=value, ...)``; nothing of it is run."""
    from fastnn.attacks import ATTACKS

    whole = _FORM.fullmatch(text)
    if whole is None:
        raise argparse.ArgumentTypeError(f"{text!r} is neither NAME nor NAME(setting=value, ...)")
    name, inside = whole[1], (whole[2] or "").strip().removesuffix(",")
    if name not in ATTACKS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(ATTACKS)}")
    settings: dict[str, Any] = {}
    for item in inside.split(",") if inside else ():
        pair = _ITEM.fullmatch(item)
        if pair is None:
            raise argparse.ArgumentTypeError(f"{item.strip()!r} in {text!r} is not setting=value")
        if pair[1] in settings:
            raise argparse.ArgumentTypeError(f"{pair[1]} is set twice in {text!r}")
        settings[pair[1]] = scalar(pair[2])
    return name, settings


def attacks_of(args: argparse.Namespace) -> dict[str, Attack]:
    """Return the attacks that were asked for, by the names that they have in the table.

    Raises
    ------
    TypeError, ValueError
        An attack lacks one of its settings; no attack has an option's setting; a value is wrong;
        two attacks are the same. The message names the attacks that have the setting.
    """
    forms: list[Form] = args.attack or [("fgsm", {})]
    given = {name: getattr(args, name) for name in SETTINGS if getattr(args, name) is not None}
    known = [_names(name) for name, _ in forms]
    for setting in given:
        if not any(setting in names for names in known):
            chosen = " nor ".join(dict.fromkeys(name for name, _ in forms))
            raise ValueError(f"--{setting.replace('_', '-')}: {_who_has(setting, chosen)}")
    attacks: dict[str, Attack] = {}
    for (name, own), names in zip(forms, known, strict=True):
        shared = {setting: value for setting, value in given.items() if setting in names}
        attack = made(name, shared | own)
        word = label(name, attack)
        if word in attacks:
            raise ValueError(f"--attack: {word} is there twice")
        attacks[word] = attack
    return attacks


def made(name: str, settings: Mapping[str, Any]) -> Attack:
    """Return an attack with these settings."""
    from fastnn.attacks import ATTACKS

    for setting in settings:
        if setting not in _names(name):
            raise ValueError(f"--attack: {_who_has(setting, name)}")
    try:
        return ATTACKS[name](**settings)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error


def label(name: str, attack: Attack) -> str:
    """Return an attack as `form` reads it, with the settings that are not the default."""
    own = [
        f"{field.name}={_word(getattr(attack, field.name))}"
        for field in _settings(type(attack))
        if getattr(attack, field.name) != field.default
    ]
    return f"{name}({', '.join(own)})" if own else name


def norm_of(attack: Attack) -> str:
    """Return the norm that an attack's eps is in."""
    return str(getattr(attack, "norm", "linf"))


def brief(attack: Attack) -> Attack:
    """Return an attack that runs all the code of another one, in much less time."""
    from fastnn.attacks import InTurn

    if isinstance(attack, InTurn):
        return InTurn(tuple(brief(one) for one in attack.attacks))
    names = {field.name for field in _settings(type(attack))}
    return replace(attack, **{name: 2 if name == "queries" else 1 for name in names & {*_LITTLE}})  # type: ignore[type-var]


def defaults() -> str:
    """Return a list of all attacks with their settings, for the help."""
    from fastnn.attacks import ATTACKS

    lines = ["attacks and the defaults of their settings:"]
    for name, kind in ATTACKS.items():
        inside = ", ".join(f"{field.name}={_word(field.default)}" for field in _settings(kind))
        lines += textwrap.wrap(
            f"{name}({inside})", 78, initial_indent="  ", subsequent_indent=" " * (len(name) + 3)
        )
    return "\n".join(lines)


def _settings(kind: type[Attack]) -> list[Field[Any]]:
    """Return the settings of a kind of attack that have a default."""
    every: Iterable[Field[Any]] = fields(kind) if is_dataclass(kind) else ()
    return [field for field in every if field.init and field.default is not MISSING]


def _names(name: str) -> set[str]:
    """Return the names of the settings of the attack called `name`."""
    from fastnn.attacks import ATTACKS

    return {field.name for field in _settings(ATTACKS[name])}


def _who_has(setting: str, chosen: str) -> str:
    """Say that an attack has no such setting, and which do."""
    from fastnn.attacks import ATTACKS

    having = [name for name in ATTACKS if setting in _names(name)]
    if having:
        return f"{chosen} has no setting {setting}; {', '.join(having)} {_have(having)}"
    return f"{chosen} has no setting {setting}; it has {', '.join(sorted(_names(chosen)))}"


def _have(names: list[str]) -> str:
    return "has it" if len(names) == 1 else "have it"


def _word(value: Any) -> str:
    """Return a value as `scalar` reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
