"""Moved: use `fastnn.io`. Will be removed in 0.3."""

from fastnn.io.networks import load_mlp, save_mlp

__all__ = ["load_mlp", "save_mlp"]
