"""*Driver.* `clip-spark search` without a query, on a terminal: a prompt with history over one open index."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clip_spark import storage
from clip_spark.commands.console import complain, draw, say, show_table
from clip_spark.commands.inline_pictures import escapes, find_protocol
from clip_spark.datasets.manifest import MANIFEST
from clip_spark.errors import ClipSparkError, InputError, SpecError, nearest
from clip_spark.index.open.selection import check_where
from clip_spark.pictures.formats import picture_format
from clip_spark.pictures.stored import has_picture, is_web_address, read_picture
from clip_spark.search.answers import hits_table
from clip_spark.search.command import answer, columns_of
from clip_spark.search.hits import Hit, Hits
from clip_spark.search.searcher import Searcher
from clip_spark.search.spec import WAYS, SearchSpec

HISTORY_LINES = 1_000
HELP = """Type what to look for, or:
  :image PATH   what is like a picture     :like 3      what is like hit 3
  :query TERMS  "beach" - "people"         :open 3      hit 3 in a viewer
  :k 20         hits per query             :show        the last hits again
  :where COND   only such records          :index NAME  another index
  :help         this text                  :quit        leave, as Ctrl-D does
:where alone allows all records. NAME is a place, or a folder beside this index.
Ctrl-C clears the line."""


@dataclass
class Session:
    """What the prompt knows.

    Attributes:
        spec: the options of the next query.
        searcher: the open index.
        protocol: how this terminal shows pictures; empty where it shows none.
        hits: of the last query.
        folder: for pictures that a viewer opens.
    """

    spec: SearchSpec
    searcher: Searcher
    protocol: str
    folder: str
    hits: Hits = field(default_factory=lambda: Hits(()))

    def run(self, line: str) -> bool:
        """Do what a line asks for; false if it asks to leave.

        Raises:
            ClipSparkError: it cannot be done.
        """
        if not line.startswith(":"):
            self.search(text=line)
            return True
        name, _, rest = line[1:].partition(" ")
        if name in ("quit", "q", "exit"):
            return False
        if name not in COMMANDS:
            raise SpecError(f"There is no ':{name}'.{nearest(name, COMMANDS)} :help shows what there is.")
        COMMANDS[name](self, rest.strip())
        return True

    def search(self, **query: str) -> None:
        """Show the hits of a query."""
        changed: dict[str, Any] = {**dict.fromkeys(WAYS, ""), **query}
        spec = replace(self.spec, **changed)
        self.hits = answer(self.searcher, spec, columns_of(self.searcher, spec))[0]
        self.show("")

    def show(self, _: str) -> None:
        """The last hits, with their pictures where the terminal shows some."""
        if self.protocol and any(has_picture(hit.record) for hit in self.hits):
            from clip_spark.search.contact_sheet import draw_sheet

            draw(escapes(self.protocol, draw_sheet([self.hits])))
        if self.hits:
            show_table(hits_table(self.hits, self.spec.columns), cut=True)
        else:
            say("No hits.")

    def hit(self, text: str) -> Hit:
        """The hit of a rank."""
        found = [hit for hit in self.hits if str(hit.rank) == text]
        if not found:
            there = f"there are 1 to {len(self.hits)}" if self.hits else "search for something first"
            raise SpecError(f"There is no hit '{text}'; {there}.")
        return found[0]

    def picture(self, path: str) -> None:
        """What is like a picture."""
        words = shlex.split(path) if path[:1] in "'\"" else [path]  # as shells quote what is dropped into a terminal
        if not path:
            raise SpecError("Give a picture: ':image cat.jpg'.")
        self.search(image=words[0])

    def query(self, terms: str) -> None:
        """A weighted query."""
        if not terms:
            raise SpecError("""Give terms: ':query "beach" - "people"'.""")
        self.search(query=terms)

    def like(self, rank: str) -> None:
        """What is like a hit."""
        self.search(like=str(self.hit(rank).record["record_id"]))

    def k(self, count: str) -> None:
        """Hits per query."""
        if not count.isdecimal() or not 0 < len(count) < 10:
            raise SpecError(f"':k {count}' must have a whole number, such as ':k 20'.")
        self.spec = replace(self.spec, k=int(count))

    def where(self, condition: str) -> None:
        """A condition from now on, checked at once."""
        if condition:
            check_where(self.searcher.records, condition)
        self.spec = replace(self.spec, where=condition)

    def index(self, place: str) -> None:
        """Another index; the encoder stays if it is the same."""
        if not place:
            raise SpecError("Give an index: its place, or the name of a folder beside this one.")
        beside = storage.join(self.searcher.manifest.uri.rpartition("/")[0], place)
        is_name = "/" not in place and not storage.exists(storage.join(place, MANIFEST))
        found = Searcher.open(beside if is_name else place)
        found.share_encoder(self.searcher)
        self.searcher.close()
        self.searcher, self.hits = found, Hits(())
        self.spec = replace(self.spec, index=found.manifest.uri, where="", columns=())
        say(summary(found))

    def open(self, rank: str) -> None:
        """A hit's picture, or its page, in the viewer of this desktop; where there is none, its place."""
        record = self.hit(rank).record
        uri = str(record.get("uri") or "")
        if is_web_address(uri):
            webbrowser.open(uri)
        elif not has_picture(record):
            raise InputError(f"Hit {rank} is no picture.")
        elif not (viewer := shutil.which("xdg-open") or shutil.which("open")):
            say(uri)
        else:
            subprocess.Popen(
                [viewer, self._copy(read_picture(record))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

    def _copy(self, data: bytes) -> str:
        kind = picture_format(data).lower()
        if not kind:
            raise InputError("Its bytes are no picture any more.")
        path = Path(tempfile.mkstemp(f".{kind}", dir=self.folder)[1])
        path.write_bytes(data)
        return str(path)


COMMANDS: dict[str, Callable[[Session, str], None]] = {
    "image": Session.picture,
    **{name: getattr(Session, name) for name in ("query", "like", "k", "where", "index", "open", "show")},
    "help": lambda _session, _rest: say(HELP),
}


def summary(searcher: Searcher) -> str:
    """*Pure.* One line about an open index."""
    info = searcher.info
    where = f"{searcher.rows:,} {info.modality}s in {searcher.manifest.uri}"
    return f"{where}, model {info.encoder['model']}. :help shows commands."


def run_prompt(spec: SearchSpec) -> None:
    """*Driver.* Answer queries until Ctrl-D or `:quit`; what goes wrong is one line, and the prompt goes on."""
    if spec.pair:
        raise SpecError("A prompt is over one index; with --pair, give a query, such as --text.")
    with tempfile.TemporaryDirectory() as folder:
        searcher = Searcher.open(spec.index, verify=spec.verify)
        columns_of(searcher, spec)
        if spec.where:
            check_where(searcher.records, spec.where)
        session = Session(spec, searcher, find_protocol(os.environ), folder)
        say(summary(searcher))
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
