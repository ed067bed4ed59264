from ._download import MIRRORS, fetch, fetch_mnist
from ._load import Samples, load_data
from ._mnist import Dataset, identity, load_mnist, load_split
from ._named import DATA_SETS, NAMES, folder_of
from ._places import SOURCES, SPLITS
from ._sources import has_splits

__all__ = [
    "DATA_SETS",
    "MIRRORS",
    "NAMES",
    "SOURCES",
    "SPLITS",
    "Dataset",
    "Samples",
    "fetch",
    "fetch_mnist",
    "folder_of",
    "has_splits",
    "identity",
    "load_data",
    "load_mnist",
    "load_split",
]
