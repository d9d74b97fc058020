"""*Worker.* A fresh Python process of this machine, and the pipe over which it serves us.

It is a new interpreter, and not started by `multiprocessing`: that would run the user's script again in it, and a fork
of a process with the threads of Arrow or torch can hang. It ends when its pipe does: none outlives us.

Two things are built on it, for two needs: `child_process.Apart` finds the record that kills a process, and `processes`
does the tasks of a job where Spark need not be started.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import current_process
from multiprocessing.connection import Connection

BEGIN = """
import sys
sys.path[:] = {path!r}
from clip_spark.runtime.fresh_process import begin
from {module} import {serve}
begin({serve}, {descriptor})
"""
CLOSE_SECONDS = 10


class FreshProcess:
    """One process, and the pipe to it.

    Args:
        serve: a function of a module, called there with the other end; it may leave when that ends (EOFError).
    """

    def __init__(self, serve: Callable[[Connection], None]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            code = BEGIN.format(
                path=sys.path, module=serve.__module__, serve=serve.__qualname__, descriptor=theirs.fileno()
            )
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is ours, who end it
            )
        self.connection = Connection(ours.detach())
        self.connection.send_bytes(bytes(current_process().authkey))

    def close(self, now: bool = False) -> str:
        """End it, in the middle of its work if `now`; waits for that, and says how it ended."""
        self.connection.close()
        if now:
            self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            return how_ended(self._process.wait(CLOSE_SECONDS))
        self._process.kill()
        return how_ended(self._process.wait())


def how_ended(exitcode: int) -> str:
    """*Pure.* `SIGSEGV`, or `exit status 3`."""
    with suppress(ValueError):
        return signal.Signals(-exitcode).name if exitcode < 0 else f"exit status {exitcode}"
    return f"signal {-exitcode}"


def begin(serve: Callable[[Connection], None], descriptor: int) -> None:
    """*Worker.* In the process: serve until the pipe is closed, or who asks is gone."""
    with Connection(descriptor) as asked, suppress(EOFError, ConnectionError):
        current_process().authkey = asked.recv_bytes()  # torch shares tensors, an encoder's weights, by files of ours
        serve(asked)
