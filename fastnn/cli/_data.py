"""What commands work on: the data that ``--data``, ``--labels`` and ``--source`` name."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.datasets import Dataset, Samples
    from fastnn.networks import MLP

_EVERY = 5  # of the samples of a class, one is held out where there is no test set


def load(args: argparse.Namespace) -> Samples:
    """Return the samples to attack: those to test with, where there are others to train on."""
    from fastnn import datasets

    if args.data is None:
        if args.labels is not None:
            raise ValueError("--labels needs --data")
        return datasets.Samples(*datasets.load_split("test", source=args.source))
    _require_no_sample(args)
    return datasets.load_data(args.data, args.labels)


def load_pair(args: argparse.Namespace) -> tuple[Dataset, int]:
    """Return samples to train on and to test with, and the number of classes.

    Where the data has no test set, every fifth sample of a class is held out.
    """
    import numpy as np

    from fastnn import datasets

    if args.data is None:
        if args.labels is not None:
            raise ValueError("--labels needs --data")
        return datasets.load_mnist(source=args.source, dtype="uint8"), 10
    _require_no_sample(args)
    if datasets.has_splits(args.data):
        train, test = (
            datasets.load_data(args.data, args.labels, split=split) for split in datasets.SPLITS
        )
    else:
        every = datasets.load_data(args.data, args.labels)
        held_out = np.zeros(len(every.labels), bool)
        for label in np.unique(every.labels):
            held_out[np.flatnonzero(every.labels == label)[_EVERY - 1 :: _EVERY]] = True
        if not held_out.any():
            raise ValueError(f"{args.data}: too few samples to hold some out for a test")
        text = f"{every.source}, {held_out.sum():,} of them held out"
        train = every._replace(x=every.x[~held_out], labels=every.labels[~held_out])
        test = every._replace(x=every.x[held_out], labels=every.labels[held_out], source=text)
    classes = max(len(train.classes), 1 + int(max(train.labels.max(), test.labels.max())))
    if train.classes != test.classes:
        raise ValueError(f"{args.data}: the classes to train on are not those to test with")
    return datasets.Dataset(train.x, train.labels, test.x, test.labels, test.source), classes


def require_square(found: Samples) -> None:
    """Raise if the samples are no square images, which alone can be drawn."""
    width = found.x.shape[1]
    if math.isqrt(width) ** 2 != width:
        raise ValueError(
            f"--plot draws square images, the data has {width:,} inputs: {found.source}"
        )


def require_units(x: Any, source: str) -> None:
    """Raise if floats look like pixels of 0 to 255, where no bounds were given."""
    from fastnn import _units

    if _units.like_pixels(x):
        raise ValueError(
            f"{source}: these floats look like pixels of 0 to 255; divide them by 255 or "
            "save them as uint8, or give --bounds 0 255 and eps in these units if the network was "
            "trained on them"
        )


def in_type_of(net: MLP, origin: str, found: Samples) -> Any:
    """Return the inputs in the type of a network, or as uint8 pixels.

    Raises
    ------
    ValueError
        The network is for another number of inputs, or for fewer classes.
    """
    import numpy as np

    from fastnn import _checks

    if found.x.shape[1] != net.sizes[0]:
        raise ValueError(
            f"{origin}: the network takes {net.sizes[0]:,} inputs, the data has "
            f"{found.x.shape[1]:,}: {found.source}"
        )
    if found.labels.max() >= net.sizes[-1]:
        raise ValueError(
            f"{origin}: the network has {net.sizes[-1]} classes, the data a label "
            f"{found.labels.max()}: {found.source}"
        )
    x = _checks.inputs(found.x, net.sizes[0], net.dtype)
    return x if x.dtype == np.uint8 else np.ascontiguousarray(x)


def network_of(args: argparse.Namespace, place: str | None, width: int) -> tuple[MLP, str]:
    """Return the network at a place, else the one that is kept for these digits, and its origin."""
    from fastnn import io
    from fastnn._recipe import cached_network

    if place is not None:
        return io.load_mlp(place, activation=args.activation, layout=args.layout), place
    for option in ("activation", "layout"):
        if getattr(args, option) is not None:
            raise ValueError(f"--{option} needs --weights")
    if width != 784 or not is_of_digits(args):
        raise ValueError(
            f"no network was given, and fastnn trains one by itself for digits alone: "
            f"`fastnn train --data {args.data} --out net.npz` trains one for this data"
        )
    return cached_network(folder(args), args.source, progress=not args.quiet)


def is_of_digits(args: argparse.Namespace) -> bool:
    """Return whether the data is that of `load_mnist`, or in a folder with files as it takes."""
    from fastnn.datasets._places import find_pair

    where = folder(args)
    return where is None or (Path(where).is_dir() and find_pair(Path(where), "test") is not None)


def folder(args: argparse.Namespace) -> str | None:
    """Return --data, as a folder if it is the name of a data set."""
    from fastnn import datasets

    if args.data in datasets.NAMES and not Path(args.data).exists():
        return str(datasets.folder_of(args.data))
    return None if args.data is None else str(args.data)


def _require_no_sample(args: argparse.Namespace) -> None:
    """Raise if both --data and the bundled sample are asked for."""
    if args.source == "sample":
        raise ValueError(f"--source sample is the bundled one and takes no --data {args.data}")
