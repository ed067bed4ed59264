"""The caches that `fastnn doctor` checks: compiled kernels and kept networks."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from fastnn._kernels.cache import SUFFIX, KernelCache, unseal

# Files of numba's own cache, and what is left of a file when its writer is killed.
_NUMBA_FILE = re.compile(r"\.nb[ic]$")
_TEMPORARY_FILE = re.compile(rf"\.nb[ic]\.tmp\.\w+$|{re.escape(SUFFIX)}\.\w+\.tmp$")


@dataclass(frozen=True)
class Cache:
    """The files of one cache in one folder.

    Attributes
    ----------
    content : str
        What the files hold.
    folder : Path
    kept : tuple of Path
        Files without damage.
    damaged : dict of Path to str
        What is wrong with each damaged file; the text names the file.
    leftover : tuple of Path
        Temporary files of killed processes, and files of other versions of fastnn or Python.
    """

    content: str
    folder: Path
    kept: tuple[Path, ...]
    damaged: dict[Path, str]
    leftover: tuple[Path, ...]


def kernel_caches() -> list[Cache]:
    """Return the caches of compiled kernels, one for each folder; none if kernels are not kept."""
    from fastnn import _kernels
    from fastnn.bench import ceilings

    names = [found.name for found in pkgutil.iter_modules(_kernels.__path__, "fastnn._kernels.")]
    modules = [*map(importlib.import_module, names), ceilings]
    values = [value for module in modules for value in vars(module).values()]
    caches = [getattr(value, "_cache", None) for value in values]
    bases = {cache.base for cache in caches if isinstance(cache, KernelCache)}
    places = dict.fromkeys(getattr(cache, "cache_path", None) for cache in caches)
    return [_kernels_in(Path(place), bases) for place in places if place is not None]


def network_cache() -> Cache:
    """Return the cache of the networks that `fastnn attack` has trained."""
    from fastnn._runtime.files import user_cache_dir

    folder = user_cache_dir() / "networks"
    files = _files(folder)
    networks = [file for file in files if file.suffix == ".npz"]
    leftover = [file for file in files if file.suffix == ".tmp"]
    return _checked("kept networks", folder, networks, leftover, _check_network)


def clear(cache: Cache) -> tuple[int, int, OSError | None]:
    """Remove all files of a cache that can be removed.

    Returns
    -------
    files, bytes : int
        How many were removed.
    error : OSError or None
        Why the first of the other files could not be removed.
    """
    files, size, first_error = 0, 0, None
    for file in (*cache.kept, *cache.damaged, *cache.leftover):
        try:
            file_size = file.lstat().st_size
            file.unlink()
        except FileNotFoundError:  # removed by another process
            continue
        except OSError as error:
            first_error = first_error or error
        else:
            files, size = files + 1, size + file_size
    return files, size, first_error


def _kernels_in(folder: Path, bases: set[str]) -> Cache:
    """Sort the files in a folder; the names of those in use start with one of `bases`.

    If there are none, numba's own cache is in use.
    """
    files = [
        file
        for file in _files(folder)
        if file.suffix == SUFFIX
        or _NUMBA_FILE.search(file.name)
        or _TEMPORARY_FILE.search(file.name)
    ]
    if bases:
        used = [f for f in files if f.suffix == SUFFIX and f.name.rsplit(".", 2)[0] in bases]
    else:
        used = [f for f in files if _NUMBA_FILE.search(f.name)]
    leftover = [file for file in files if file not in used]
    return _checked("compiled kernels", folder, used, leftover, _check_kernel)


def _files(folder: Path) -> list[Path]:
    """Return the files in a folder by name, none if there is no such folder."""
    try:
        return sorted(file for file in folder.iterdir() if file.is_file())
    except OSError:
        return []


def _checked(
    content: str,
    folder: Path,
    files: Iterable[Path],
    leftover: Iterable[Path],
    check: Callable[[Path], None],
) -> Cache:
    """Return a cache whose `files` were read and checked."""
    kept, damaged = [], {}
    for file in files:
        try:
            check(file)
        except (OSError, ValueError) as error:
            damaged[file] = str(error)
        else:
            kept.append(file)
    return Cache(content, folder, tuple(kept), damaged, tuple(leftover))


def _check_kernel(file: Path) -> None:
    """Raise if a compiled kernel is damaged; numba's own files have no digest to compare."""
    if file.suffix == SUFFIX:
        try:
            unseal(file.read_bytes())
        except ValueError as error:
            raise ValueError(f"{file} {error}") from error


def _check_network(file: Path) -> None:
    """Raise if a kept network is damaged."""
    from fastnn.io import load_mlp

    load_mlp(file)
