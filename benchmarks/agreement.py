"""Compare the attacks of fastnn with other programs, on the same network and images, in float64.

The other programs are written from the formulas with PyTorch's autograd (`peers/formula_torch.py`),
or are foolbox, ART, torchattacks and AutoAttack with the same settings. Every row on which two
programs differ is listed with its margins, so that one sees whether it is a tie. Programs that are
not installed are named and left out. Exit status 1: something differs beyond ties.
"""

import argparse
import importlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np
from methods import METHODS
from verdicts import HEADING, TIE_32, TIE_64, Found, Line, compare, inputs_apart

import fastnn
from fastnn._recipe import cached_network
from fastnn._runtime.files import require_file_place
from fastnn.datasets import load_split

_FOOTNOTES = f"""
fastnn, theirs  images that still stand with fastnn float64, and with the other program
differ          rows on which the two differ; margin: the largest of their margins, of either
inputs          rows whose adversarial inputs differ by more than 1e-6 (float32: 1e-4) in an entry
ties            all margins of these rows are at most {TIE_64:g} (float32: {TIE_32:g})
no more         no image stands with fastnn that falls with the other program
not judged      the methods are not the same, for the reason that is given"""


class Subject:
    """A network with images, and what is the same for all programs."""

    def __init__(self, net, x, labels):
        self.net, self.net32 = net.astype(np.float64), net.astype(np.float32)
        self.x32, self.x, self.labels = x.astype(np.float32), x.astype(np.float64), labels
        logits = self.net.logits(self.x)
        others = self._others(logits)
        top = others.max(axis=1)
        self.leads = self._own(logits) - top - np.log(np.exp(others - top[:, None]).sum(axis=1))

    def _own(self, logits):
        return logits[np.arange(len(logits)), self.labels]

    def _others(self, logits):
        others = logits.copy()
        others[np.arange(len(logits)), self.labels] = -np.inf
        return others

    def judge(self, x, method, eps):
        """Return what adversarial inputs achieve, by a forward pass of their own in float64."""
        x = np.asarray(x, np.float64)
        self.require_within(x, method, eps)
        logits = self.net.logits(x)
        fooled = logits.argmax(axis=1) != self.labels
        margins = self._own(logits) - self._others(logits).max(axis=1)
        if method.reach is None:
            return Found(~fooled, margins, x)
        order = 2 if method.options["norm"] == "l2" else np.inf
        sizes = np.linalg.norm(x - self.x, axis=1, ord=order) - eps
        return Found(~fooled | (sizes > 0), np.where(fooled, sizes, np.inf), x)

    def require_within(self, x, method, eps):
        """Raise if inputs are further than eps, or out of bounds, by more than rounding."""
        limit = eps if method.reach is None else method.reach
        order = 2 if method.options.get("norm") == "l2" else np.inf
        sizes = np.linalg.norm(x - self.x, axis=1, ord=order)
        lower, upper = method.bounds or (-np.inf, np.inf)
        if not (
            sizes.max() <= limit * (1 + 1e-6) and lower - 1e-6 <= x.min() <= x.max() <= upper + 1e-6
        ):
            raise ArithmeticError(
                f"row {int(sizes.argmax())} is {sizes.max():.6g} away, eps is {limit:g}; inputs "
                f"from {x.min():.6g} to {x.max():.6g}"
            )


def ours(subject, method, eps, *, single):
    """Return what our attack finds, in float64 or float32."""
    net, x = (subject.net32, subject.x32) if single else (subject.net, subject.x)
    reach = eps if method.reach is None else method.reach
    return subject.judge(
        method.attack.perturb(net, x, subject.labels, reach, method.bounds), method, eps
    )


def counted(subject, method, eps, found):
    """Return which rows stand in a count of float32, which stops at each row's first success."""
    report = fastnn.adversarial_accuracy(
        subject.net32, subject.x32, subject.labels, eps, method.bounds, attack=method.attack
    )
    return Found(report.adversarial_prediction == subject.labels, found.margins)


def theirs(subject, method, program, eps):
    """Return what another program finds."""
    module, name = program.path.split(":")
    attack = getattr(importlib.import_module(module), name)
    options = method.options_for(subject.x, eps)
    x = attack(subject.net, subject.x, subject.labels, eps, method.bounds, **options)
    return subject.judge(x, method, eps)


def lines(subject, method, eps, word=""):
    """Yield the comparisons of one method at one eps; text where a program is left out.

    `word` is in the label of every program that is compared.
    """
    best = ours(subject, method, eps, single=False)

    def line(label, found, rule, tie, note="", cancels=False):
        rows, verdict = compare(best, found, subject.leads, rule=rule, tie=tie, cancels=cancels)
        return Line(
            method=method.name,
            against=label,
            eps=eps,
            n=len(subject.x),
            ours=int(best.standing.sum()),
            theirs=int(found.standing.sum()),
            rows=rows,
            inputs=inputs_apart(best, found, 1e-4 if tie == TIE_32 else 1e-6),
            verdict=verdict,
            note=note,
        )

    if method.single and word in "fastnn float32, counted":
        found = ours(subject, method, eps, single=True)
        yield line("fastnn float32", found, "same", TIE_32)
        if method.reach is None:
            yield line(
                "fastnn float32, counted", counted(subject, method, eps, found), "same", TIE_32
            )
    for program in method.programs:
        if word not in program.label:
            continue
        try:
            found = theirs(subject, method, program, eps)
        except (ImportError, NotImplementedError) as error:
            yield f"{method.name:<18}{eps:>5g}  left out: {program.label}: {error}"
            continue
        cancels = not program.path.startswith("peers.formula")
        yield line(program.label, found, program.judged_by, TIE_64, program.note, cancels)


def run(net, x, labels, chosen, n, say, word=""):
    """Compare all chosen methods on one network, say each line, and return the lines."""
    every = []
    for method in chosen:
        rows = slice(0, n or method.n)
        subject = Subject(net, x[rows], labels[rows])
        say(f"\n{method.name}: {method.text}")
        for eps in method.eps:
            for line in lines(subject, method, eps, word):
                every += [line] if isinstance(line, Line) else []
                say(line.text() if isinstance(line, Line) else line)
    return every


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", metavar="DIR", help="folder with MNIST")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="PATH",
        action="append",
        help="another network; again for several",
    )
    parser.add_argument("-n", type=int, metavar="N", help="images; default: 1,000 or fewer")
    parser.add_argument("-k", default="", metavar="WORD", help="only methods with it in their name")
    parser.add_argument(
        "--against", default="", metavar="WORD", help="only programs with it in their name"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows, too")
    parser.add_argument("--list", action="store_true", help="print the names of the methods")
    args = parser.parse_args(arguments)
    if args.n is not None and args.n < 1:
        parser.error(f"-n must be at least 1, got {args.n}")
    return args


def main(arguments=None):
    args = parse(arguments)
    if args.list:
        print("\n".join(f"{method.name:<18}{method.text}" for method in METHODS))
        return 0
    if args.json is not None:
        require_file_place(args.json)
    warnings.simplefilter("ignore")  # of the peers' libraries
    chosen, every = [method for method in METHODS if args.k in method.name], {}
    x, labels, digits = load_split("test", args.data, dtype=np.float32)
    for weights in args.weights or [None]:
        net = cached_network(args.data, "auto")[0] if weights is None else fastnn.load_mlp(weights)
        name = str(weights or "the network of fastnn attack")
        print(f"{digits}; {name}\n\n{HEADING}", flush=True)
        every[name] = run(
            net, x, labels, chosen, args.n, lambda text: print(text, flush=True), args.against
        )
        if args.json is not None:
            document = {name: [line.to_json() for line in found] for name, found in every.items()}
            args.json.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    print(_FOOTNOTES)
    return int(any(line.beyond_ties for found in every.values() for line in found))


if __name__ == "__main__":
    sys.exit(main())
