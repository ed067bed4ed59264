from .networks import load_mlp, save_mlp

__all__ = ["load_mlp", "save_mlp"]
