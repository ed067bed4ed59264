"""Data sets by name: what they are, where their files are published, and by which sums known.

The sums of Fashion-MNIST, KMNIST and MNIST are the SHA-256 of the files as published. For EMNIST,
only an MD5 of the archive of all its parts is published, so the digits in it are checked by their
number and shape as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastnn._runtime.files import user_cache_dir

_PUBLIC_DOMAIN = "none is stated; the images are from NIST Special Database 19"


@dataclass(frozen=True)
class DataSet:
    """A data set that can be downloaded.

    Attributes
    ----------
    title : str
    licence : str
    files : dict of str to (int, str)
        Size in bytes and ``algorithm:sum`` of each file. The images to test with come last: a
        folder without them counts as empty.
    mirrors : tuple of str
        Addresses of folders that have the files.
    unpacked : tuple of str
        For an archive: what the names of its files begin with, for training and test; else empty.
    counts : tuple of int
        Images to train on and to test with.
    """

    title: str
    licence: str
    files: dict[str, tuple[int, str]]
    mirrors: tuple[str, ...]
    unpacked: tuple[str, ...] = ()
    counts: tuple[int, int] = (60_000, 10_000)


_IDX = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def _files(*known: tuple[int, str]) -> dict[str, tuple[int, str]]:
    """Return sizes and SHA-256 by the names of the four files."""
    return {name: (size, f"sha256:{sum_}") for name, (size, sum_) in zip(_IDX, known, strict=True)}


DATA_SETS = {
    "mnist": DataSet(
        "MNIST",
        "CC BY-SA 3.0",
        _files(
            (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
    ),
    "fashion-mnist": DataSet(
        "Fashion-MNIST",
        "MIT, Zalando SE",
        _files(
            (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        ),
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        ),
    ),
    "kmnist": DataSet(
        "KMNIST",
        "CC BY-SA 4.0, ROIS-DS Center for Open Data in the Humanities",
        _files(
            (18_165_135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
            (29_497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
            (3_041_136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
            (5_120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
        ),
        ("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
    ),
    "emnist-digits": DataSet(
        "EMNIST digits",
        _PUBLIC_DOMAIN,
        {"gzip.zip": (561_753_746, "md5:58c8d27c78d21e728a6bc7b3cc06412e")},
        ("https://biometrics.nist.gov/cs_links/EMNIST/",),
        unpacked=("gzip/emnist-digits-train-", "gzip/emnist-digits-test-"),
        counts=(240_000, 40_000),
    ),
}
NAMES = tuple(DATA_SETS)


def data_set_named(name: str) -> DataSet:
    """Return a data set; ValueError if there is none of that name."""
    if name not in DATA_SETS:
        raise ValueError(f"no data set is named {name!r}, expected one of {', '.join(NAMES)}")
    return DATA_SETS[name]


def cache_folder(name: str) -> Path:
    """Return the folder in the user's cache for the files of a data set."""
    return user_cache_dir() / name


def folder_of(name: str) -> Path:
    """Return the folder of a data set that was downloaded, in the user's cache.

    Parameters
    ----------
    name : str
        One of `fastnn.datasets.NAMES`.

    Raises
    ------
    FileNotFoundError
        It was not downloaded.
    ValueError
        There is no data set of that name.

    Examples
    --------
    >>> from fastnn.datasets import folder_of
    >>> folder_of("kmnist")  # doctest: +SKIP
    PosixPath('/home/me/.cache/fastnn/kmnist')
    """
    found, folder = data_set_named(name), cache_folder(name)
    if not folder.is_dir():
        option = "" if name == "mnist" else f" {name}"
        raise FileNotFoundError(f"{folder}: {found.title} is not there: run `fastnn fetch{option}`")
    return folder


def title_of(images: Path) -> str | None:
    """Return what the images in a file are, if the file is in the folder of a data set."""
    split = "training" if "train" in images.name else "test"
    for name, found in DATA_SETS.items():
        if name != "mnist" and images.parent == cache_folder(name):
            return f"{found.title} {split} set"
    return None
