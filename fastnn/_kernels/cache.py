"""Compiled kernels on disk, with a digest: a damaged file is compiled again, not run.

numba pickles compiled kernels and trusts the files when it reads them. An empty file then makes
every later run fail, and a changed byte of machine code is executed. `KernelCache` replaces numba's
cache of a kernel and keeps one file for each signature:

    _MAGIC, digest of all that follows, digest of what was compiled, pickle of the compiled kernel

The first digest is compared before anything is unpickled. It finds damaged files and files of other
programs. It does not protect against people who can write to the folder, as they can write a right
digest, too. The second digest identifies the source, the options, the signature and the processor,
so that a process never runs code that was compiled for others.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

from fastnn._runtime.files import atomic_write
from fastnn._runtime.processors import target
from fastnn._runtime.signals import DeferredSignals

SUFFIX = ".kernel"
_MAGIC = b"fastnn kernel 1\n"
_DIGEST_BYTES = 32
_HEADER_BYTES = len(_MAGIC) + 2 * _DIGEST_BYTES

_warned = False


def use_sealed_cache(dispatcher: Any, options: dict[str, Any]) -> None:
    """Keep the compiled forms of a kernel in a `KernelCache`, where this numba allows it.

    Parameters
    ----------
    dispatcher : numba dispatcher
        A function compiled with ``cache=True``. It keeps numba's own cache if a later numba lacks
        a part that `KernelCache` needs, and stays as it is if numba does not compile at all.
    options : dict
        The options that the kernel is compiled with.
    """
    with contextlib.suppress(AttributeError):
        dispatcher._cache = KernelCache(dispatcher._cache, options)


class KernelCache:
    """The compiled forms of one kernel on disk, with the methods of a numba cache.

    A kernel that cannot be read is compiled; one that cannot be written is used without a file.
    The first such failure in a process is a `RuntimeWarning`, later ones are silent.

    Attributes
    ----------
    cache_path : str
        The folder, as numba chose it.
    base : str
        How the name of each file of this kernel starts.
    """

    def __init__(self, cache: Any, options: dict[str, Any]) -> None:
        # Look up all parts of numba that the methods use, so that a missing one fails here.
        impl, file = cache._impl, cache._cache_file
        self._check_cachable = impl.check_cachable
        self._reduce, self._rebuild = impl.reduce, impl.rebuild
        self._ensure_folder = impl.locator.ensure_cache_path
        self._index_key, self._dump = cache._index_key, file._dump
        settings = json.dumps(options, default=sorted, sort_keys=True)
        self._origin = (file._version, settings, file._source_stamp, sources_stamp(), target())
        self._enabled = True
        self.cache_path: str = cache.cache_path
        self.base: str = impl.filename_base

    def enable(self) -> None:
        """Read and write files from now on."""
        self._enabled = True

    def disable(self) -> None:
        """Read and write no files from now on."""
        self._enabled = False

    def flush(self) -> None:
        """Remove the files of this kernel."""
        for file in Path(self.cache_path).glob(f"{glob.escape(self.base)}.*{SUFFIX}"):
            file.unlink(missing_ok=True)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return the kernel compiled for `signature`, None if it must be compiled."""
        with DeferredSignals():  # what a handler raises is no damage
            return self._load(signature, target_context)

    def _load(self, signature: Any, target_context: Any) -> Any:
        target_context.refresh()
        if not self._enabled:
            return None
        file = None
        try:
            file, identity = self._place(signature, target_context.codegen())
            payload = unseal(file.read_bytes(), identity)
            return payload and self._rebuild(target_context, pickle.loads(payload))
        except FileNotFoundError:
            return None
        except MemoryError:
            raise
        except Exception as error:  # pickle and numba raise a dozen types
            if not _is_busy(error):
                self._discard(file, error)
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Write a kernel that was compiled for `signature`."""
        if self._enabled:
            with DeferredSignals():
                self._save(signature, compiled)

    def _save(self, signature: Any, compiled: Any) -> None:
        try:
            if self._check_cachable(compiled):
                self._ensure_folder()
                file, identity = self._place(signature, compiled.codegen)
                content = seal(self._dump(self._reduce(compiled)), identity)
                with atomic_write(file) as stream:
                    stream.write(content)
        except Exception as error:  # a full disk, a folder that is now read-only, ...
            if not _is_busy(error):
                where = f"compiled kernels cannot be kept in {self.cache_path}"
                _warn_once(f"{where}: {_reason(error)}")

    def _discard(self, file: Path | None, error: Exception) -> None:
        """Remove a file that cannot be read and warn."""
        if file is not None:
            with contextlib.suppress(OSError):
                file.unlink()
        where = file or self.cache_path
        _warn_once(f"{where} {_reason(error)}: the kernel is compiled again")

    def _place(self, signature: Any, codegen: Any) -> tuple[Path, bytes]:
        """Return the file for a signature, and the digest of what its content is compiled from.

        The source is not part of the name: the kernel of an earlier version is replaced.
        """
        key = (*self._origin[:2], signature, codegen.magic_tuple())
        name = f"{self.base}.{_digest(repr(key).encode()).hex()[:16]}{SUFFIX}"
        origin = (self._origin, self._index_key(signature, codegen))
        return Path(self.cache_path) / name, _digest(repr(origin).encode())


@functools.cache
def sources_stamp(folder: Path = Path(__file__).parent) -> tuple[tuple[str, int, int], ...]:
    """Return name, time of change and size of every source file beside this one.

    numba compares the file of a kernel alone, but kernels use functions and constants of others.
    Links that lead nowhere are left out: an editor locks `a.py` with such a link, `.#a.py`.
    """
    sources = sorted(file for file in folder.glob("*.py") if file.is_file())
    files = ((file.name, file.stat()) for file in sources)
    return tuple((name, found.st_mtime_ns, found.st_size) for name, found in files)


def seal(payload: bytes, identity: bytes) -> bytes:
    """Return the content of a file: `payload` behind the digests."""
    return _MAGIC + _digest(identity + payload) + identity + payload


def unseal(content: bytes, identity: bytes | None = None) -> bytes | None:
    """Return the payload of a file, None if its identity is another one.

    Raises
    ------
    ValueError
        The content is damaged, or is not a compiled kernel.
    """
    if len(content) < _HEADER_BYTES or not content.startswith(_MAGIC):
        raise ValueError("is no compiled kernel" if content else "is empty")
    rest = memoryview(content)[len(_MAGIC) :]
    if _digest(rest[_DIGEST_BYTES:]) != rest[:_DIGEST_BYTES]:
        raise ValueError("is truncated or damaged")
    if identity is not None and content[len(_MAGIC) + _DIGEST_BYTES : _HEADER_BYTES] != identity:
        return None
    return content[_HEADER_BYTES:]


def _digest(data: bytes | memoryview) -> bytes:
    """Return the BLAKE2b digest of `data`."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def _is_busy(error: Exception) -> bool:
    """Return whether Windows refused because another process has the file open."""
    return os.name == "nt" and isinstance(error, PermissionError)


def _reason(error: Exception) -> str:
    """Return what went wrong, without the name of a file."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _warn_once(text: str) -> None:
    """Warn the first time in a process, in one line and without a line of source code."""
    global _warned  # noqa: PLW0603
    if not _warned:
        _warned = True
        warnings.warn_explicit(" ".join(text.split()), RuntimeWarning, "fastnn", 0)
