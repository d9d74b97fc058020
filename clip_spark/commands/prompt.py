"""*Driver.* `clip-spark search` without a query, on a terminal: a prompt with history over an open index, or two."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress

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
        with _history():
            while (line := _read_line()) is not None:
                if line and not _done(session, line):
                    break


def _read_line() -> str | None:
    """The next line, empty where Ctrl-C has cleared it; None at the end."""
    try:
        return input("> ").strip()
    except KeyboardInterrupt:
        say("")
        return ""
    except EOFError:
        say("")
        return None


def _done(session: Session, line: str) -> bool:
    """Run a line; false if it asks to leave."""
    try:
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
