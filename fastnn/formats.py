"""Moved: use `fastnn.io`. Goes with version 0.3."""

from fastnn.io.networks import load_mlp, save_mlp

__all__ = ["load_mlp", "save_mlp"]
