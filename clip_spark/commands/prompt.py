"""*Driver.* `clip-spark search` without a query, on a terminal: a prompt with history over an open index, or two."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from clip_spark.commands.console import complain, say
from clip_spark.commands.inline_pictures import find_protocol
from clip_spark.commands.prompt_session import Session, summary
from clip_spark.errors import ClipSparkError
from clip_spark.search.spec import SearchSpec

HISTORY_LINES = 1_000


def run_prompt(spec: SearchSpec) -> None:
    """*Driver.* Answer queries until Ctrl-D or `:quit`; what goes wrong is one line, and the prompt goes on."""
    with tempfile.TemporaryDirectory() as folder:
        session = Session.open(spec, find_protocol(os.environ), folder)
        say(summary(session.searcher, session.other))
        with _history(), _Interrupts() as interrupts:
            while (line := _read_line(interrupts)) is not None:
                if line and not _done(interrupts, session, line):
                    break


class _Interrupts:
    """Ctrl-C ends a line or an answer, never the prompt: one between these, such as a second one, does nothing."""

    def __enter__(self) -> _Interrupts:
        self._wanted = False
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, *_: object) -> None:
        if self._wanted:
            self._wanted = False
            raise KeyboardInterrupt

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """Within this it raises KeyboardInterrupt, once."""
        try:
            self._wanted = True
            yield
        finally:
            self._wanted = False


def _read_line(interrupts: _Interrupts) -> str | None:
    """The next line, empty where Ctrl-C has cleared it; None at the end."""
    try:
        with interrupts.wanted():
            return input("> ").strip()
    except (KeyboardInterrupt, SystemError):  # CPython makes a SystemError of a second Ctrl-C while the first is raised
        say("")
        return ""
    except EOFError:
        say("")
        return None


def _done(interrupts: _Interrupts, session: Session, line: str) -> bool:
    """Run a line; false if it asks to leave."""
    try:
        with interrupts.wanted():
            return session.run(line)
    except ClipSparkError as error:
        complain(str(error))
    except KeyboardInterrupt:
        complain("interrupted")
    except OSError as error:
        complain(f"{type(error).__name__}: {error}")
    return True


class _history:
    """Lines of earlier prompts, in a file that only its owner reads."""

    def __enter__(self) -> None:
        import readline

        state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
        self._file = os.path.join(state, "clip-spark", "search-history")
        readline.set_history_length(HISTORY_LINES)
        with suppress(OSError):
            readline.read_history_file(self._file)

    def __exit__(self, *_: object) -> None:
        import readline

        with suppress(OSError):
            os.makedirs(os.path.dirname(self._file), mode=0o700, exist_ok=True)
            os.close(os.open(self._file, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(self._file)
