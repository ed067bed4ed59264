"""What `agreement.py` compares: methods with their settings, and the programs that run each."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from verdicts import Rule

from fastnn import attacks
from fastnn.attacks import _random

UNIT = (0.0, 1.0)
FORMULA = "torch, from the formula"
_ART, _FOOLBOX, _TORCHATTACKS = (
    "peers.art_double",
    "peers.foolbox_double",
    "peers.torchattacks_double",
)
_AUTOATTACK, _OWN = "peers.autoattack_double", "peers.formula_torch"


@dataclass(frozen=True)
class Program:
    """Another program's form of a method.

    Attributes
    ----------
    label : str
    path : str
        ``"module:function"``; see `peers.formula_torch`.
    note : str
        What is not the same; then the counts need not be. Empty: all is the same.
    rule : {"same", "no more", "other"} or None
        None: "other" with a note, else "same".
    """

    label: str
    path: str
    note: str = ""
    rule: Rule | None = None

    @property
    def judged_by(self):
        return self.rule or ("other" if self.note else "same")


@dataclass(frozen=True, kw_only=True)
class Method:
    """An attack with its settings.

    Attributes
    ----------
    name, text : str
        For ``-k``; for people.
    attack : Attack
        Ours.
    eps : tuple of float
    bounds : tuple (lower, upper) or None
    options : dict
        Settings for the other programs.
    programs : tuple of Program
    n : int
        Images, if ``-n`` is not given.
    reach : float or None
        An attack that looks for the smallest change gets this eps; a row stands if the change is
        larger than `eps`, in the norm `options` names.
    runs : int
        Random starts of ours that the formula begins with, too; 0: none.
    single : bool
        Whether float32 has to agree with float64.
    """

    name: str
    text: str
    attack: attacks.Attack
    eps: tuple[float, ...]
    bounds: tuple[float, float] | None = UNIT
    options: dict[str, Any] = field(default_factory=dict)
    programs: tuple[Program, ...] = ()
    n: int = 1000
    reach: float | None = None
    runs: int = 0
    single: bool = True

    def options_for(self, x, eps):
        """Return the settings for other programs, with our random starts."""
        if not self.runs:
            return self.options
        return self.options | {"starts": starts(x, eps, self.bounds, self.runs)}


def starts(x, eps, bounds, runs):
    """Return the random starts of our attacks with ``rng=0``, shape (n, runs, D)."""
    found = []
    for run in range(runs):
        keys = _random.keys(0, np.arange(len(x)), run, 0)
        moved = x + (_random.uniform(keys, x.shape[1], np.float64) - 0.5) * 2 * eps
        found.append(np.clip(moved, *(bounds or (-np.inf, np.inf))))
    return np.stack(found, axis=1)


def four(name, notes=None):
    """Return the formula and three libraries, each with a function of that name.

    `notes` says what is not the same; "none" leaves the library out.
    """
    notes = notes or {}
    paths = {FORMULA: _OWN, "foolbox": _FOOLBOX, "ART": _ART, "torchattacks": _TORCHATTACKS}
    return tuple(
        Program(label, f"{path}:{name}", notes.get(label, ""))
        for label, path in paths.items()
        if notes.get(label) != "none"
    )


PGD = {"steps": 40, "size": 0.01}
MOMENTUM = {"steps": 10, "size": 0.02, "momentum": 1.0}
PGD_L2 = {"steps": 40, "size": 0.1, "norm": "l2"}
_SCALES = "it scales back to the ball, then clips; ours is the nearest point within both"
_TARGETS = (
    "the label is what the network predicts at first; a step is not made longer until the end"
)

METHODS = (
    Method(
        name="fgsm-linf",
        text="FGSM, clipped",
        attack=attacks.FGSM(),
        eps=(0.05, 0.1, 0.2),
        programs=four("fgsm"),
    ),
    Method(
        name="fgsm-l2",
        text="fast gradient in L2, not clipped",
        attack=attacks.FGSM("l2"),
        eps=(1.0,),
        bounds=None,
        options={"norm": "l2"},
        programs=four("fgsm", {"torchattacks": "none"}),
    ),
    Method(
        name="last-linf",
        text="PGD, 40 steps of 0.01 from x, clipped; the input of the last step",
        attack=attacks.IteratedFGSM(40, 0.01),
        eps=(0.05, 0.1),
        options=PGD | {"last": True},
        programs=four("pgd"),
    ),
    Method(
        name="pgd-linf",
        text="PGD, 40 steps of 0.01 from x, clipped; each sample's worst of all steps",
        attack=attacks.PGD(40, 0.01, random_start=False),
        eps=(0.05, 0.1),
        options=PGD,
        programs=four("pgd"),
    ),
    Method(
        name="momentum-linf",
        text="MI-FGSM, 10 steps of 0.02, decay 1, clipped; the worst of all steps",
        attack=attacks.PGD(10, 0.02, random_start=False, momentum=1.0),
        eps=(0.05, 0.1),
        options=MOMENTUM,
        programs=four("pgd", {"foolbox": "it adds up signs, not gradients over their L1 norms"}),
    ),
    Method(
        name="pgd-l2",
        text="PGD in L2, 40 steps of 0.1 from x, not clipped; the worst of all steps",
        attack=attacks.PGD(40, 0.1, "l2", random_start=False),
        eps=(0.5, 1.0),
        bounds=None,
        options=PGD_L2,
        programs=four("pgd"),
    ),
    Method(
        name="pgd-l2-clipped",
        text="the same, clipped",
        attack=attacks.PGD(40, 0.1, "l2", random_start=False),
        eps=(1.0, 2.0),
        options=PGD_L2,
        programs=four("pgd", dict.fromkeys(("foolbox", "ART", "torchattacks"), _SCALES)),
    ),
    Method(
        name="deepfool-l2",
        text="DeepFool in L2, clipped; a row stands if its change is larger than eps",
        attack=attacks.DeepFool(),
        eps=(0.5, 1.0),
        options={"norm": "l2"},
        reach=100.0,
        programs=four(
            "deepfool",
            {
                "foolbox": "it adds 1e-4 to the length of each step; ours is at least so long",
                "ART": "it leaves the class that is predicted, right or wrong, and makes the "
                "change longer once, at the end",
                "torchattacks": "none",  # one image and class at a time: minutes
            },
        ),
        n=200,
    ),
    Method(
        name="deepfool-linf",
        text="DeepFool in L-infinity, clipped; a row stands if its change is larger than eps",
        attack=attacks.DeepFool(norm="linf"),
        eps=(0.05,),
        options={"norm": "linf"},
        reach=100.0,
        programs=(
            Program(FORMULA, f"{_OWN}:deepfool"),
            Program(
                "foolbox",
                f"{_FOOLBOX}:deepfool",
                "it adds 1e-4 to the length of each step; ours is at least so long",
            ),
        ),
        n=200,
    ),
    Method(
        name="apgd-ce",
        text="APGD with cross-entropy, 100 steps, one random start, clipped",
        attack=attacks.APGD(),
        eps=(0.05,),
        options={"loss": "ce"},
        runs=1,
        programs=(
            Program(FORMULA, f"{_OWN}:apgd"),
            Program(
                "AutoAttack's APGD",
                f"{_AUTOATTACK}:apgd",
                "our start; steps are halved also where exactly three of four raised the loss; "
                "of images that are fooled, the last one",
            ),
            Program("ART", f"{_ART}:apgd", "another start, other checkpoints"),
        ),
        n=200,
    ),
    Method(
        name="apgd-dlr",
        text="APGD with the difference of logits ratio, 100 steps, one random start, clipped",
        attack=attacks.APGD(loss="dlr"),
        eps=(0.05,),
        options={"loss": "dlr"},
        runs=1,
        programs=(
            Program(FORMULA, f"{_OWN}:apgd"),
            Program(
                "AutoAttack's APGD",
                f"{_AUTOATTACK}:apgd",
                "our start; steps are halved also where exactly three of four raised the loss; "
                "of images that are fooled, the last one",
            ),
        ),
        n=200,
    ),
    Method(
        name="apgd-targeted",
        text="APGD with the targeted ratio, 100 steps for each of nine classes, clipped",
        attack=attacks.APGD(loss="dlr-targeted"),
        eps=(0.05,),
        options={"loss": "dlr-targeted"},
        runs=9,
        programs=(Program(FORMULA, f"{_OWN}:apgd"),),
        n=50,
    ),
    Method(
        name="square",
        text="Square, 500 queries, clipped",
        attack=attacks.Square(500),
        eps=(0.1,),
        options={"queries": 500},
        programs=(
            Program("AutoAttack's Square", f"{_AUTOATTACK}:square", "other random squares"),
            Program("torchattacks", f"{_TORCHATTACKS}:square", "other random squares"),
        ),
        n=200,
        single=False,
    ),
    Method(
        name="standard",
        text="Standard() against AutoAttack, clipped",
        attack=attacks.Standard(),
        eps=(0.05, 0.1),
        programs=(
            Program("AutoAttack", f"{_AUTOATTACK}:standard", rule="no more"),
            Program("torchattacks' AutoAttack", f"{_TORCHATTACKS}:autoattack", rule="no more"),
        ),
        n=100,
        single=False,
    ),
)
