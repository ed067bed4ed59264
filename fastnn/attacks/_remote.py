"""Blocks that other processes attack: what goes out, what a worker does, and what comes back."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

from fastnn import _rows
from fastnn._runtime.executors import Pool, completed
from fastnn._runtime.processors import available_threads
from fastnn._runtime.team import without_pinning
from fastnn.attacks._batch import Run
from fastnn.attacks._outcome import Outcome
from fastnn.attacks._piece import Piece, attack_piece, digest_of
from fastnn.attacks._plan import Plan
from fastnn.networks import MLP
from fastnn.reports._sources import digest

_MOST_NETWORKS = 2


class Task(NamedTuple):
    """What a worker is asked for; the block's rows and the network may come beside it.

    Attributes
    ----------
    network : str
        The digest of the network, which a worker keeps from its first task on.
    plan : Plan
    piece : Piece
        Its rows are None where they come beside it.
    threads : int or None
        None: this machine's processors, shared by `share` tasks.
    share : int or None
    hashed : bool
        Whether the digest of the samples is wanted.
    """

    network: str
    plan: Plan
    piece: Piece
    threads: int | None
    share: int | None
    hashed: bool


class Lacks(NamedTuple):
    """What a worker says that cannot work yet."""

    network: bool
    rows: bool


class Failed(NamedTuple):
    """What a worker says where the samples are wrong: to send them again would not help."""

    error: Exception


class Done(NamedTuple):
    """What comes of a block, with the digest of its samples."""

    outcome: Outcome
    digest: str


class Job(NamedTuple):
    """A block that is out, and what has to go with it."""

    piece: Piece
    with_network: bool = False
    with_rows: bool = False


class Remote:
    """The attack of blocks by the workers of an executor.

    Parameters
    ----------
    net : MLP
    plan : Plan
    pool : Pool
    threads : int or None
        Of each worker; None: its share of the machine's processors.
    hashed : bool
    """

    def __init__(
        self, net: MLP, plan: Plan, pool: Pool, *, threads: int | None, hashed: bool
    ) -> None:
        self._net, self._plan, self._pool = net, plan, pool
        self._threads, self._hashed = threads, hashed
        self._network = digest(net.activation, (*net.weights, *net.biases))
        self._everywhere: Any = None  # the network in the memory of a cluster

    def attacked(self, pieces: Iterator[Piece]) -> Iterator[tuple[Piece, Done]]:
        """Yield each piece with what comes of it, as they come."""
        jobs = (Job(piece) for piece in pieces)
        for job, answer in completed(self._pool, jobs, self._send, _again, _name):
            if isinstance(answer, Failed):
                raise answer.error
            yield job.piece, answer

    def _send(self, job: Job) -> Any:
        """Send a job: rows in a file as their place, others as an array or a future of one."""
        piece, rows, pool = job.piece, None, self._pool
        x = piece.block.x
        if isinstance(x, _rows.Later) and pool.client is not None and hasattr(x.array, "dask"):
            rows = pool.compute(x.array[x.first : x.stop])
            piece = piece._replace(block=piece.block._replace(x=None, labels=_read_labels(piece)))
        elif job.with_rows or not isinstance(x, _rows.InFile):
            piece = piece.read()
            rows = pool.put(piece.block.x)
            piece = piece._replace(block=piece.block._replace(x=None))
        else:
            piece = piece._replace(block=piece.block._replace(labels=_read_labels(piece)))
        net: Any = self._net if job.with_network else None
        if pool.client is not None:
            if getattr(self._everywhere, "status", "lost") != "finished":
                self._everywhere = pool.put(self._net, everywhere=True)
            net = self._everywhere
        task = Task(self._network, self._plan, piece, self._threads, pool.share, self._hashed)
        return pool.submit(work, task, rows, net)


def work(task: Task, rows: Any, net: MLP | None) -> Done | Failed | Lacks:
    """Attack a block, in a worker."""
    piece, known = task.piece, _networks.get(task.network, net)
    x = piece.block.x if rows is None else rows
    away = isinstance(x, _rows.InFile) and not x.is_here()
    if known is None or away:
        return Lacks(network=known is None, rows=away)
    try:
        piece = piece._replace(block=piece.block._replace(x=x)).read()
    except OSError:
        return Lacks(network=False, rows=True)  # the caller reads them, or says why not
    threads = task.threads
    if threads is None:
        threads = max(1, available_threads() // task.share) if task.share else 1
    try:
        with without_pinning():
            outcome = attack_piece(known, task.plan, piece, Run(threads))
    except Exception as error:
        return Failed(_sendable(error))
    return Done(outcome, digest_of(piece) if task.hashed else "")


class _Networks:
    """The networks that this process was sent, by their digests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, MLP] = {}

    def get(self, name: str, sent: MLP | None) -> MLP | None:
        """Return the network of that name; one that was `sent` is kept, as a copy."""
        with self._lock:
            if name not in self._kept and sent is not None:
                if len(self._kept) == _MOST_NETWORKS:
                    del self._kept[next(iter(self._kept))]
                # In a pool of threads, the caller's own arrays were sent, and may change.
                self._kept[name] = MLP(sent.weights, sent.biases, sent.activation)
            return self._kept.get(name)


_networks = _Networks()


def _again(job: Job, answer: Any) -> Job | None:
    """Return a job with what the worker lacks."""
    if not isinstance(answer, Lacks):
        return None
    return Job(job.piece, job.with_network or answer.network, job.with_rows or answer.rows)


def _name(job: Job) -> str:
    """Return what a message calls a block."""
    first = job.piece.block.first
    return f"rows {first} to {first + job.piece.block.rows - 1}"


def _read_labels(piece: Piece) -> Any:
    """Return the labels of a piece."""
    return piece.block._replace(x=None).read().labels


def _sendable(error: Exception) -> Exception:
    """Return an exception that can be sent, as one of the user's own perhaps cannot."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:
        pass
    return RuntimeError(f"{type(error).__name__}: {error}")
