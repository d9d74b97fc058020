"""*Server.* Opens the indices, takes a port, says where, and serves until it is told to end."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import uvicorn

from clip_spark.errors import InputError
from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog
from clip_spark.web.spec import ServeSpec, named_uris

SHUTDOWN_SECONDS = 5
"""How long requests that run may go on after Ctrl-C."""


def run(spec: ServeSpec, announce: Callable[[str, Sequence[str]], None]) -> None:
    """*Server.* Serve until Ctrl-C or SIGTERM.

    Args:
        spec: the options.
        announce: called with the address and a line for each index, once requests are answered.

    Raises:
        UserError: an index cannot be opened, its model cannot be loaded, or the port is taken.
    """
    with listen(spec.host, spec.port) as listener:
        catalog = Catalog.open(named_uris(spec.index))
        app = create_app(catalog, host=spec.host, max_k=spec.max_k, max_bytes=spec.max_upload_bytes, cors=spec.cors)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS
        )
        lines = [index.summary for index in catalog.indices.values()]
        with suppress(KeyboardInterrupt):  # uvicorn has ended in order, and raises it again
            _Server(config, lambda: announce(address(listener), lines)).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Calls back when it answers requests."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call back."""
        await super().startup(sockets)
        if self.started:
            self._started()


def listen(host: str, port: int) -> socket.socket:
    """*Server.* A socket bound to the port, before anything slow is done; port 0 takes a free one.

    Raises:
        InputError: the port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, for asyncio sets TCP_NODELAY only on sockets that say TCP: without it every answer on a
    # connection that stays open waits 40 ms for the client's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        why = error.strerror or str(error)
        raise InputError(f"Cannot listen on {host}, port {port}: {why}. --port 0 takes a free port.") from error
    return listener


def address(listener: socket.socket) -> str:
    """*Server.* The address to type into a browser; that of this machine where it listens on all of its addresses."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
