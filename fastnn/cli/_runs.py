"""Where attacks run, and which files keep what is finished: ``--dask`` and ``--checkpoint``."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="let the workers of this Dask cluster attack, such as tcp://127.0.0.1:8786, or a file "
        "of its scheduler; --threads is then the number for each worker (default: this process)",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        type=Path,
        help="keep what is finished in this file, so that the same command goes on after an "
        "interrupt or a kill; several attacks, or ways to clip, have FILE.1, FILE.2 and so on "
        "(default: no)",
    )


class Runs(NamedTuple):
    """What the runs of all attacks have in common."""

    threads: int | None
    checkpoint: Path | None
    client: Any
    several: bool = False

    def together(self, x: Any) -> bool:
        """Say whether ways to clip can share passes: inputs are in memory, and so is the rest."""
        from fastnn import _rows

        return self.checkpoint is None and self.client is None and _rows.source_of(x) is None

    def place(self, number: int) -> Path | None:
        """Return the checkpoint of a run."""
        if self.checkpoint is None or not self.several:
            return self.checkpoint
        return self.checkpoint.with_name(f"{self.checkpoint.name}.{number + 1}")


@contextlib.contextmanager
def cluster(address: str | None) -> Iterator[Any]:
    """Yield the client of a Dask cluster, or None."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise ImportError(
            "--dask needs Dask, which is not installed: pip install fastnn[dask]"
        ) from None
    place = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    with Client(**place) as client:
        yield client
