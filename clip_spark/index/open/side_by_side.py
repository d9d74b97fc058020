"""*Worker.* Work on several queries by as many threads as Faiss may use here; what it is must release Python's lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from clip_spark.index.files.faiss_library import load_faiss

Share = TypeVar("Share")
Result = TypeVar("Result")


def thread_count() -> int:
    """*Worker.* How many threads Faiss may use for what the calling thread asks of it."""
    return int(load_faiss().omp_get_max_threads())


def side_by_side(work: Callable[[Share], Result], shares: Sequence[Share]) -> list[Result]:
    """*Worker.* What `work` makes of each share, in their order; one share needs no thread.

    In those threads Faiss uses one thread each: the number is a thread's own.
    """
    threads = min(thread_count(), len(shares))
    if threads < 2:
        return [work(share) for share in shares]
    with ThreadPoolExecutor(threads, initializer=partial(load_faiss().omp_set_num_threads, 1)) as pool:
        return list(pool.map(work, shares))
