"""The command line: `main` chooses a command, each is a module, `options` has what they share."""

from fastnn.cli._main import main

__all__ = ["main"]
