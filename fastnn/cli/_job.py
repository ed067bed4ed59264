"""What ``fastnn attack`` attacks: a network and samples."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastnn.cli import _data, _table
from fastnn.cli._targets import targets_of

if TYPE_CHECKING:
    from fastnn.networks import MLP


@dataclass(frozen=True)
class Job:
    """A network and the images to attack, the seed, and what the attacks are to reach."""

    net: MLP
    origin: str
    x: Any
    labels: Any
    digits: str
    rows: Any  # positions of the images in the data
    targets: Any
    seed: int
    ways: _table.Ways


def load_job(args: argparse.Namespace) -> Job:
    """Load the network and the digits, and choose targets."""
    if args.network and args.weights:
        raise ValueError(f"two networks: {args.network} and --weights {args.weights}")
    place = args.network or args.weights
    data = _data.load(args)
    if args.plot is not None:
        _data.require_square(data)
    if args.bounds is None:
        _data.require_units(data.x, data.source)
    net, origin = _data.network_of(args, place, data.x.shape[1])
    x, labels, digits = _data.in_type_of(net, origin, data), data.labels, data.source
    ways = _table.ways_of(x, args.bounds)
    if args.targets is None:
        return Job(net, origin, x, labels, digits, slice(None), None, args.rng, ways)
    rows, targets = targets_of(args.targets, net, x, labels, args.rng)
    if left_out := len(labels) - len(rows):
        digits += f"; {left_out:,} of class {args.targets} left out"
    return Job(net, origin, x[rows], labels[rows], digits, rows, targets, args.rng, ways)
