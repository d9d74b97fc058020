"""A hub on loopback that answers what huggingface_hub's file system asks: listings, single files by range, refusals."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

GATED, SLOW_DOWN = "gated", "slow down"


@dataclass
class Hub:
    """Data sets by name, and what is special about them.

    Attributes:
        files: `owner/name` -> path -> bytes.
        odd: `owner/name` -> GATED or SLOW_DOWN.
        tokens: that came.
    """

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        parts = unquote(urlsplit(path).path).strip("/").split("/")
        if parts[:2] == ["api", "datasets"]:
            return self._api("/".join(parts[2:4]), parts[4:], "recursive=true" in path.lower())
        if parts[0] == "datasets" and "resolve" in parts:
            return self._resolve("/".join(parts[1:3]), "/".join(parts[5:]))
        return 404, {}, b"{}"

    def _api(self, name: str, rest: list[str], deep: bool) -> tuple[int, dict[str, str], bytes]:
        if self.odd.get(name) == SLOW_DOWN:
            return 429, {"Retry-After": "1"}, b"slow down"
        if name not in self.files:
            return 401, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if not rest or rest[0] == "revision":
            return 200, {}, json.dumps({"id": name, "sha": "1" * 40, "private": False, "siblings": []}).encode()
        below = "/".join(rest[2:])
        found = [self._entry(name, path) for path in self.files[name] if not below or path.startswith(below)]
        if not found:
            return 404, {"X-Error-Code": "EntryNotFound"}, b"{}"
        if not deep and not below:
            folders = sorted({path.split("/")[0] for path in self.files[name] if "/" in path})
            found = [entry for entry in found if "/" not in entry["path"]]
            found += [{"type": "directory", "oid": "2" * 40, "size": 0, "path": folder} for folder in folders]
        return 200, {}, json.dumps(found).encode()

    def _entry(self, name: str, path: str) -> dict[str, object]:
        data = self.files[name][path]
        return {"type": "file", "oid": hashlib.sha1(data).hexdigest(), "size": len(data), "path": path}

    def _resolve(self, name: str, path: str) -> tuple[int, dict[str, str], bytes]:
        if self.odd.get(name) == GATED:
            return 403, {"X-Error-Code": "GatedRepo"}, b"Access to this dataset is restricted."
        if path not in self.files.get(name, {}):
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        data = self.files[name][path]
        return 200, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": "1" * 40}, data


@contextmanager
def running_hub() -> Iterator[Hub]:
    """The hub, until the block ends."""
    hub = Hub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.tokens.add(self.headers.get("Authorization", ""))
            status, headers, body = hub.answer(self.path)
            span = self.headers.get("Range")
            if status == 200 and span:
                first, last = span.removeprefix("bytes=").split("-")
                headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
                status, body = 206, body[int(first) : int(last or len(body)) + 1]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
