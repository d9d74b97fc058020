"""*Anywhere.* A running `clip-spark serve` answers `clip-spark search` in its place, for its models are in memory.

They meet at a socket in a folder that only its owner can open: nothing of it reaches the network, and the kernel says
on both sides who the other is. A request names the index and the generation that the command has found; a server that
serves another, or that fails in any way, gives no answer, and the command does its own work.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clip_spark import storage
from clip_spark.datasets.manifest import MANIFEST
from clip_spark.datasets.tables import Table
from clip_spark.errors import ClipSparkError
from clip_spark.storage.local_cache import own_mode

if TYPE_CHECKING:
    from clip_spark.search.spec import SearchSpec

ENDING = ".sock"
CONNECT_SECONDS, ANSWER_SECONDS = 1.0, 60.0
LONGEST_PATH = 100
"""Bytes of a socket's path; the systems allow 104 to 108."""
MOST_REQUEST, MOST_ANSWER = 1 << 20, 1 << 30
"""Bytes of a line."""
HERE_ALONE = ("verify", "fetch", "save", "show", "batch", "query", "server", "index", "pair", "both_weight")
"""Options that are not sent: files are this command's business, and an expression may name pictures beside it."""

Shown = tuple[Table, str]
"""Hits of a query as a terminal shows them, and as lines of JSON."""


def meeting_folder() -> Path | None:
    """*Anywhere.* Where servers of this user are found; None where it is not this user's alone."""
    place = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"clip-spark-{os.getuid()}"
    with suppress(OSError):
        with suppress(FileExistsError):
            place.mkdir(mode=0o700)
        mode = own_mode(place)
        if mode is not None and not mode & 0o077 and len(os.fsencode(place)) < LONGEST_PATH - 40:
            return place
    return None


def is_same_user(peer: socket.socket) -> bool:
    """*Anywhere.* Whether the other side of a connection runs as this user; true where the system does not say, for
    the folder has said it."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, user, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(user == os.getuid())


def generation_of(manifest: Mapping[str, Any]) -> list[Any]:
    """*Pure.* What tells two generations of an index apart; of a manifest's JSON, or of the fields of one in memory."""
    return [manifest["fingerprint"], manifest["created"], manifest["extra"].get("generation")]


def ask_servers(spec: SearchSpec) -> list[Shown] | None:
    """*Anywhere.* What a running server answers to a command; None where there is none for it, whatever the reason."""
    folder = meeting_folder() if spec.server and spec.asked in (["text"], ["like"], ["image"]) else None
    if folder is None or spec.save or spec.show or spec.verify or spec.pair:
        return None
    with suppress(OSError, ValueError, KeyError, TypeError, ClipSparkError):
        sockets = sorted(place for place in folder.iterdir() if place.suffix == ENDING)
        request = request_of(spec) if sockets else b""
        for place in sockets:
            if (found := _ask(place, request)) is not None:
                return found
    return None


def request_of(spec: SearchSpec) -> bytes:
    """*Anywhere.* A line that says what a command wants; reads the head of the index."""
    uri = storage.absolute(spec.index)
    head = generation_of(storage.read_json(storage.join(uri, MANIFEST)))
    options = {one.name: getattr(spec, one.name) for one in fields(spec) if one.name not in HERE_ALONE}
    picture = storage.absolute(spec.image) if spec.image else ""
    return json.dumps({"index": uri, "generation": head, "picture": picture, "options": options}).encode() + b"\n"


def _ask(place: Path, request: bytes) -> list[Shown] | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(CONNECT_SECONDS)
        try:
            peer.connect(str(place))
        except (ConnectionRefusedError, FileNotFoundError):
            place.unlink(missing_ok=True)  # nobody listens any more
            return None
        except OSError:
            return None
        if not is_same_user(peer):
            return None
        peer.settimeout(ANSWER_SECONDS)
        with suppress(OSError, ValueError):
            peer.sendall(request)
            found = json.loads(read_line(peer, MOST_ANSWER))["answers"]
            return [(Table(one["title"], one["columns"], one["rows"]), one["lines"]) for one in found]
    return None


def read_line(peer: socket.socket, most: int) -> bytes:
    """*Anywhere.* What the other side sends up to a line's end; raises ValueError where it is cut short or too long."""
    parts, size = list[bytes](), 0
    while not parts or not parts[-1].endswith(b"\n"):
        part = peer.recv(1 << 16)
        size += len(part)
        if not part or size > most:
            raise ValueError("the line has no end")
        parts.append(part)
    return b"".join(parts)


def line_of(shown: Sequence[Shown]) -> bytes:
    """*Pure.* Answers as a line; a value that JSON lacks becomes the text that a table shows of it anyway."""
    answers = [
        {
            "title": table.title,
            "columns": list(table.columns),
            "rows": [list(row) for row in table.rows],
            "lines": lines,
        }
        for table, lines in shown
    ]
    return json.dumps({"answers": answers}, default=str).encode() + b"\n"
