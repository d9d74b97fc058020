"""*Pure.* The spec of serve."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from clip_spark import storage
from clip_spark.datasets.sizes import size_bytes
from clip_spark.datasets.spec import SIZE, URI, check_at_least, check_choice, check_not_empty, option
from clip_spark.errors import InputError, SpecError

MOST_PORT = 65_535
LATER, FIRST, NEVER = "later", "first", "never"
PLURAL = {"index": "indices", "map": "maps"}
NAME = r"[A-Za-z0-9_.-]+"
TOKEN = r"[A-Za-z0-9_.~+/=-]{16,}"


@dataclass(frozen=True, kw_only=True)
class ServeSpec:
    """serve: a search page and an HTTP API over one or more indices."""

    index: tuple[str, ...] = option("indices to serve; NAME=URI gives one a name", holds=URI)
    map: tuple[str, ...] = option("maps of the indices' embeddings to show; NAME=URI gives one a name", (), holds=URI)
    examples: tuple[str, ...] = option(
        "what sample-lines has kept: texts show lines in which they stand", (), holds=URI, kinds=("examples",)
    )
    host: str = option("address to listen on; 0.0.0.0 opens the server to the network", "127.0.0.1")
    port: int = option("port to listen on; 0 takes a free one", 8000)
    max_k: int = option("most hits that one request may ask for, those before its page included", 10_000)
    max_upload: str = option("largest request body", "20M", holds=SIZE)
    cors: tuple[str, ...] = option("origins whose pages may call this server, such as http://localhost:3000, or *", ())
    token: str = option("token that callers must know, or @FILE that holds it; empty lets everybody in", "")
    rate: float = option("requests a second of one client, on average; 0 is no limit", 0.0)
    proxy: tuple[str, ...] = option("addresses or networks of proxies that are believed when they say who asks", ())
    fetch: str = option(
        "files of indices in an object store: later (pieces of them answer, all are fetched beside), first or never",
        LATER,
    )
    fetch_urls: bool = option("open pictures at public web addresses: of records, and those that requests name", False)
    takedowns: bool = option("let those who know the token take records down, as remove-records does", False)
    log_requests: bool = option("write a line of JSON on stderr for each request", False)

    def __post_init__(self) -> None:
        check_not_empty("index", self.index)
        check_not_empty("host", self.host)
        check_at_least("port", self.port, 0)
        if self.port > MOST_PORT:
            raise SpecError(f"--port is {self.port}; at most {MOST_PORT} is possible.")
        check_at_least("max-k", self.max_k, 1)
        check_at_least("rate", self.rate, 0)
        check_choice("fetch", self.fetch, (LATER, FIRST, NEVER))
        size_bytes("max-upload", self.max_upload)
        for place in self.proxy:
            _check_network(place)
        if self.token and not self.token.startswith("@"):
            _check_token(self.token)
        if self.takedowns and not self.token:
            raise SpecError("--takedowns needs --token: else everybody who reaches the server could take records down.")
        named_uris(self.index)
        named_uris(self.map, "map")

    @property
    def max_upload_bytes(self) -> int:
        """*Pure.* Bytes of `max_upload`."""
        return size_bytes("max-upload", self.max_upload)

    def read_token(self) -> str:
        """*Server.* The token itself; raises UserError if its file is missing, or holds no token."""
        if not self.token.startswith("@"):
            return self.token
        uri = self.token[1:]
        if not storage.exists(uri):
            raise InputError(f"The file of the token '{uri}' does not exist.")
        return _check_token(storage.read_bytes(uri).decode("utf-8", "replace").strip())


def _check_token(token: str) -> str:
    if not re.fullmatch(TOKEN, token):
        raise SpecError("--token must be 16 characters or more: letters, digits and _ . ~ + / = -.")
    return token


def _check_network(place: str) -> None:
    try:
        ipaddress.ip_network(place)
    except ValueError as error:
        raise SpecError(f"--proxy is '{place}'; it must be an address such as 10.0.0.5, or a network.") from error


def named_uris(values: tuple[str, ...], option: str = "index") -> dict[str, str]:
    """*Pure.* Name -> URI, in the order given; an index or a map without a name is called after its folder.

    Raises:
        SpecError: two would have the same name.
    """
    found: dict[str, str] = {}
    for value in values:
        named = re.fullmatch(rf"({NAME})=(.+)", value)
        name, uri = (named[1], named[2]) if named else (storage.name(storage.absolute(value)), value)
        if name in found:
            raise SpecError(
                f"Two {PLURAL[option]} are called '{name}'; name them: "
                f"--{option} {name}={found[name]} --{option} other={uri}."
            )
        found[name] = uri
    return found
