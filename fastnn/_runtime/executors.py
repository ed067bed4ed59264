"""Other processes and machines at work: tasks go out in bounded number, and lost ones again.

Any `concurrent.futures.Executor` will do, and a client of Dask.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from typing import Any, TypeVar

Job = TypeVar("Job")

_TRIES = 4
_AHEAD = 2  # tasks for each worker: one at work, and one that waits
_UNKNOWN = 8  # workers, where an executor does not say


class Pool:
    """What runs tasks: an executor, or the client of a Dask cluster.

    Attributes
    ----------
    most : int
        How many tasks are out at a time.
    share : int or None
        How many tasks one machine runs at a time; None where it is not known.
    client : distributed.Client or None
    """

    def __init__(self, executor: Any) -> None:
        self.client = _client_of(executor)
        if self.client is not None:
            self._executor = self.client.get_executor(pure=False)
            hosts: collections.Counter[str] = collections.Counter()
            for worker in self.client.scheduler_info(n_workers=-1)["workers"].values():
                hosts[worker["host"]] += worker["nthreads"]
            self.share: int | None = max(hosts.values(), default=1)
            workers = sum(hosts.values())
        elif callable(getattr(executor, "submit", None)):
            self._executor = executor
            self.share = getattr(executor, "_max_workers", None)
            workers = self.share or getattr(executor, "num_workers", None) or _UNKNOWN
        else:
            raise TypeError(
                "executor must be a concurrent.futures.Executor or a Dask client, got "
                f"{type(executor).__name__}"
            )
        self.most = max(1, workers) * _AHEAD

    def submit(self, function: Callable[..., Any], *values: Any) -> Future[Any]:
        """Call a function of a module with these values in a worker."""
        try:
            found: Future[Any] = self._executor.submit(function, *values)
        except RuntimeError as error:  # as a broken one, or one that was shut down, raises
            raise _broken(error) from error
        return found

    def put(self, value: Any, *, everywhere: bool = False) -> Any:
        """Return what stands for a large value among those of `submit`.

        A task of Dask goes through its scheduler, which large values are not made for.
        """
        if self.client is None:
            return value
        return self.client.scatter(value, broadcast=everywhere, hash=False)

    def compute(self, collection: Any) -> Any:
        """Return what stands for a collection of Dask, which the cluster computes where it is."""
        assert self.client is not None
        return self.client.compute(collection)


def completed(
    pool: Pool,
    jobs: Iterator[Job],
    send: Callable[[Job], Future[Any]],
    again: Callable[[Job, Any], Job | None],
    name: Callable[[Job], str],
) -> Iterator[tuple[Job, Any]]:
    """Yield each job with its result, as they come.

    Parameters
    ----------
    pool : Pool
    jobs : iterator
        Taken as tasks are done, so that few are in memory.
    send : callable
        Sends a job.
    again : callable
        For a job and its result: the job that has to be sent again with more, or None.
    name : callable
        What a message calls a job.

    Raises
    ------
    RuntimeError
        A job was lost several times, or the executor is broken. Its cause is the last error.
    """
    out: dict[Future[Any], tuple[Job, int]] = {}

    try:
        while True:
            while len(out) < pool.most and (job := next(jobs, None)) is not None:
                out[send(job)] = job, 1
            if not out:
                return
            for future in wait(out, return_when=FIRST_COMPLETED).done:
                job, tries = out.pop(future)
                try:
                    result = future.result()
                except Exception as error:  # of the transport: a task returns its own
                    if isinstance(error, BrokenExecutor):
                        raise _broken(error) from error
                    if tries == _TRIES:
                        raise RuntimeError(
                            f"{name(job)}: lost {_TRIES} times by the executor, last by {error!r}"
                        ) from error
                    out[send(job)] = job, tries + 1
                    continue
                more = again(job, result)
                if more is not None:
                    out[send(more)] = more, tries
                else:
                    yield job, result
    finally:
        for future in out:
            future.cancel()


def _broken(error: BaseException) -> RuntimeError:
    """Return the error about an executor that runs nothing any more."""
    return RuntimeError(
        f"the executor is broken ({error!r}); with checkpoint=, another one goes on where it was"
    )


def _client_of(executor: Any) -> Any:
    """Return the client of a Dask cluster, if an executor is one or belongs to one."""
    for one in (executor, getattr(executor, "_client", None)):
        if callable(getattr(one, "get_executor", None)) and hasattr(one, "scheduler_info"):
            return one
    return None
