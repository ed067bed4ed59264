from ._download import MIRRORS, fetch_mnist
from ._mnist import SOURCES, SPLITS, Dataset, identity, load_mnist, load_split

__all__ = [
    "MIRRORS",
    "SOURCES",
    "SPLITS",
    "Dataset",
    "fetch_mnist",
    "identity",
    "load_mnist",
    "load_split",
]
