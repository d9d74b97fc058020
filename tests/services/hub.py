"""A hub on loopback that answers what huggingface_hub asks: listings, files by range, commits, refusals."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import yaml

GATED, SLOW_DOWN = "gated", "slow down"


@dataclass
class Hub:
    """Data sets by name, and what is special about them.

    Attributes:
        files: `owner/name` -> path -> bytes.
        odd: `owner/name` -> GATED or SLOW_DOWN.
        tokens: that came.
        commits: paths that each commit has added.
    """

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    commits: list[list[str]] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        parts = unquote(urlsplit(path).path).strip("/").split("/")
        if parts[:2] == ["api", "datasets"]:
            return self._api("/".join(parts[2:4]), parts[4:], "recursive=true" in path.lower())
        if parts[0] == "datasets" and "resolve" in parts:
            return self._resolve("/".join(parts[1:3]), "/".join(parts[5:]))
        return 404, {}, b"{}"

    def take(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """The same of what is written: a new data set, how files are to be sent (in the commit), a commit."""
        parts = unquote(urlsplit(path).path).strip("/").split("/")
        asked = json.loads(body) if not body.count(b"\n") else {}
        if parts[:3] == ["api", "repos", "create"]:
            name = "/".join(asked[key] for key in ("organization", "name") if asked.get(key))
            self.files.setdefault(name, {})
            return 200, {}, json.dumps({"url": f"{self.url}/datasets/{name}"}).encode()
        if parts[1] == "validate-yaml":
            header = yaml.safe_load(asked["content"].split("---")[1])
            return 200, {}, json.dumps({"errors": [] if header["license"] else ["none"], "warnings": []}).encode()
        name = "/".join(parts[2:4])
        if parts[4] == "preupload":
            said = {"uploadMode": "regular", "shouldIgnore": False}
            return 200, {}, json.dumps({"files": [{"path": one["path"], **said} for one in asked["files"]]}).encode()
        self._commit(self.files[name], [json.loads(line) for line in body.splitlines() if line])
        made = f"{self.url}/datasets/{name}/commit/{'1' * 40}"
        return 200, {}, json.dumps({"commitUrl": made, "commitOid": "1" * 40, "hookOutput": ""}).encode()

    def _commit(self, files: dict[str, bytes], lines: list[dict[str, Any]]) -> None:
        written = [line["value"] for line in lines if line["key"] == "file"]
        added = {one["path"]: base64.b64decode(one["content"]) for one in written}
        for line in lines:
            if line["key"] == "deletedFile":
                files.pop(line["value"]["path"], None)
        files.update(added)
        self.commits.append(sorted(added))

    def _api(self, name: str, rest: list[str], deep: bool) -> tuple[int, dict[str, str], bytes]:
        if self.odd.get(name) == SLOW_DOWN:
            return 429, {"Retry-After": "1"}, b"slow down"
        if name not in self.files:
            return 401, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if not rest or rest[0] == "revision":
            return 200, {}, json.dumps({"id": name, "sha": "1" * 40, "private": False, "siblings": []}).encode()
        below = "/".join(rest[2:])
        found = [self._entry(name, path) for path in self.files[name] if not below or path.startswith(below)]
        if not found and below:
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


def _chunks(stream: BinaryIO) -> bytes:
    """A body of unknown length, as commits are sent."""
    found = b""
    while size := int(stream.readline().split(b";")[0] or b"0", 16):
        found += stream.read(size)
        stream.readline()
    stream.readline()
    return found


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

        do_HEAD = do_GET

        def do_POST(self) -> None:
            size = self.headers.get("Content-Length")
            data = self.rfile.read(int(size)) if size else _chunks(self.rfile)
            if not any(word in self.path for word in ("/repos/create", "/validate-yaml", "/preupload/", "/commit/")):
                self.do_GET()
                return
            hub.tokens.add(self.headers.get("Authorization", ""))
            status, headers, body = hub.take(self.path, data)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

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
