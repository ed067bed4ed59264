from ._download import MIRRORS, fetch_mnist
from ._mnist import Dataset, identity, load_mnist, load_split
from ._places import SOURCES, SPLITS

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
