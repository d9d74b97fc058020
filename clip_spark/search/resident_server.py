"""*Server.* The other side of `resident`: a thread of `serve` that answers searches of the same user."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from clip_spark.errors import ClipSparkError
from clip_spark.index.open.selection import check_where
from clip_spark.search.answers import shown
from clip_spark.search.command import answer, columns_of
from clip_spark.search.resident import (
    ENDING,
    MOST_REQUEST,
    Shown,
    generation_of,
    is_same_user,
    line_of,
    meeting_folder,
    read_line,
)
from clip_spark.search.searcher import Searcher
from clip_spark.search.spec import SearchSpec

log = logging.getLogger(__name__)

READ_SECONDS, AT_ONCE = 5.0, 4
"""The longest that a request may take to arrive; requests that are worked on."""

Searchers = Callable[[], Iterable[Searcher]]
"""Gives the open indices of the moment."""


@contextmanager
def answering(searchers: Searchers) -> Iterator[None]:
    """*Server.* Answer searches of this user's commands as long as the block runs; says so where that cannot be."""
    folder = meeting_folder()
    if folder is None:
        log.info("`clip-spark search` will not find this server: no folder is this user's alone")
        yield
        return
    place = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}{ENDING}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(place))
        try:
            listener.listen(AT_ONCE)
            threading.Thread(target=_accept, args=(listener, searchers), name="resident", daemon=True).start()
            yield
        finally:
            place.unlink(missing_ok=True)


def _accept(listener: socket.socket, searchers: Searchers) -> None:
    turns = threading.Semaphore(AT_ONCE)
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:  # closed
            return
        turns.acquire()
        threading.Thread(target=_serve, args=(peer, searchers, turns), daemon=True).start()


def _serve(peer: socket.socket, searchers: Searchers, turns: threading.Semaphore) -> None:
    """One connection; whatever is wrong ends it without an answer, and the command does its own work."""
    try:
        with peer, suppress(OSError, ValueError, LookupError, TypeError, ClipSparkError):
            peer.settimeout(READ_SECONDS)
            if is_same_user(peer):
                peer.sendall(line_of(respond(read_line(peer, MOST_REQUEST), searchers())))
    finally:
        turns.release()


def respond(request: bytes, searchers: Iterable[Searcher]) -> list[Shown]:
    """*Server.* The answers to a request.

    Raises:
        LookupError: that generation of that index is not served here.
        ClipSparkError: there is no answer; the command will find out why.
    """
    wanted = json.loads(request)
    searcher = next(
        (one for one in searchers if is_wanted(one, wanted["index"], wanted["generation"])),
        None,
    )
    if searcher is None:
        raise LookupError(wanted["index"])
    options = {**wanted["options"], "columns": tuple(wanted["options"]["columns"])}
    spec = SearchSpec(index=wanted["index"], **options)
    searcher.parts.refresh()
    if spec.where:
        check_where(searcher.records, spec.where)
    found = answer(searcher, replace(spec, image=wanted["picture"]), columns_of(searcher, spec))
    return [shown(replace(hits, query=spec.image or hits.query), spec.columns) for hits in found]


def is_wanted(searcher: Searcher, index: str, generation: list[object]) -> bool:
    """*Pure.* Whether an open index is the one of a request."""
    return searcher.manifest.uri == index and generation_of(vars(searcher.manifest)) == generation
