"""One process of an attacker: reads numbers of cases, answers what broke.

``python -m tests.hostile._worker NAME FOLDER``; orders and answers are lines of JSON.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from tests.hostile._frame import attacker, describe


def main(name: str, place: str) -> None:
    """Serve until there are no more orders."""
    # What the library prints must not end up among the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    faulthandler.enable()
    folder = Path(place)
    os.environ["FASTNN_CACHE"] = str(folder / "cache")
    os.environ.pop("FASTNN_DATA", None)
    module = attacker(name)
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "the training diverged")  # random networks may
    for line in sys.stdin:
        answers.write(json.dumps(answer(module, json.loads(line), folder)) + "\n")
        answers.flush()


def answer(module: Any, order: int | str, folder: Path) -> list[str]:
    """Carry out one order and return what broke."""
    try:
        if order == "prepare":
            getattr(module, "prepare", lambda _: None)(folder)
            return []
        return list(module.case(order, folder))
    except BaseException as error:
        return [describe(error)]


if __name__ == "__main__":
    main(*sys.argv[1:])
