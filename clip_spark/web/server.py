"""*Server.* Opens the indices, takes a port, says where, and serves until it is told to end."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress

import pyarrow as pa
import uvicorn
from starlette.types import ASGIApp
from threadpoolctl import threadpool_limits

from clip_spark.datasets.manifest import read_manifest
from clip_spark.errors import InputError
from clip_spark.runtime.memory import tidy
from clip_spark.search.resident_server import answering
from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog
from clip_spark.web.connections import KEEP_ALIVE_SECONDS, Connection, most_connections
from clip_spark.web.guard import Rules
from clip_spark.web.headers import log_requests
from clip_spark.web.origins import names_on
from clip_spark.web.recall_checks import RecallChecks
from clip_spark.web.reload import Reloader
from clip_spark.web.spec import FIRST, LATER, ServeSpec, named_uris
from clip_spark.web.whole_files import WholeFiles

SHUTDOWN_SECONDS = 5
"""How long requests that run may go on after Ctrl-C."""
BACKLOG = 64
"""Connections that asyncio accepts in one go, before any of them is counted."""
SWITCH_SECONDS = 0.001
"""A thread that computes in Python gives the event loop its turn so soon; by default after 5 ms, times the threads."""


def run(spec: ServeSpec, announce: Callable[[str, Sequence[str]], None]) -> None:
    """*Server.* Serve until Ctrl-C or SIGTERM.

    Args:
        spec: the options.
        announce: called with the address and a line for each index, once requests are answered.

    Raises:
        UserError: an index cannot be opened, its model cannot be loaded, or the port is taken.
    """
    with listen(spec.host, spec.port) as listener:
        names, token = names_on(spec.host), spec.read_token()
        rules = Rules(names, spec.cors, token, spec.rate, spec.max_upload_bytes, spec.takedowns)
        examples = [read_manifest(uri, "examples") for uri in spec.examples]
        indices, maps, whole = named_uris(spec.index), named_uris(spec.map, "map"), spec.fetch == FIRST
        catalog = Catalog.open(indices, maps, fetches=spec.fetch_urls, whole=whole)
        app = create_app(catalog, rules, max_k=spec.max_k, examples=examples)
        # Requests have threads of their own; with those of BLAS beside them, eight did a twentieth of the work.
        threadpool_limits(1, user_api="blas")
        if spec.log_requests:
            log_requests()
        lines = [index.summary for index in catalog.indices.values()]
        lines += [served.summary for served in catalog.maps.values()]
        app.openapi()  # the first request that needs it would hold up all others
        pa.array([""])  # this imports pandas, for half a second, which the first look-up of a record would wait for
        tidy()  # a look through all that torch and FastAPI keep holds Python's lock for a fifth of a second
        with suppress(KeyboardInterrupt):  # uvicorn has ended in order, and raises it again
            Reloader(app.state, indices, maps, whole=whole).start()
            if spec.fetch == LATER:
                WholeFiles(app.state).start()
            RecallChecks(app.state).start()
            resident = answering(lambda: [index.searcher for index in app.state.catalog.indices.values()])
            server = _Server(configured(app, spec.proxy), resident, lambda: announce(address(listener), lines))
            server.run(sockets=[listener])


def configured(app: ASGIApp, proxies: Sequence[str] = ()) -> uvicorn.Config:
    """*Server.* How uvicorn runs the app in this process, whose limits it raises; only `proxies` may say who asks."""
    sys.setswitchinterval(SWITCH_SECONDS)
    Connection.most = most_connections()
    return uvicorn.Config(
        app,
        http=Connection,
        loop="asyncio",  # whether or not uvloop is installed: it saves nothing here
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        backlog=BACKLOG,
        timeout_keep_alive=int(KEEP_ALIVE_SECONDS),
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


class _Server(uvicorn.Server):
    """Calls back when it answers requests.

    Args:
        config: of uvicorn.
        beside: entered when it answers, and left before it ends: after SIGTERM nothing behind `run` is done.
        started: called back.
    """

    def __init__(
        self, config: uvicorn.Config, beside: AbstractContextManager[None], started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._beside, self._started, self._entered = beside, started, ExitStack()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call back."""
        await super().startup(sockets)
        if self.started:
            self._entered.enter_context(self._beside)
            self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Leave what stands beside, then end in order."""
        self._entered.close()
        await super().shutdown(sockets)


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
