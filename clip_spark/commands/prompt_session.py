"""*Driver.* What the prompt of `clip-spark search` knows and does: a line in, hits shown."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clip_spark import storage
from clip_spark.commands.console import draw, say, show_table
from clip_spark.commands.inline_pictures import escapes
from clip_spark.datasets.manifest import MANIFEST
from clip_spark.errors import InputError, SpecError, nearest
from clip_spark.index.open.selection import check_where
from clip_spark.pictures.formats import picture_format
from clip_spark.pictures.stored import has_picture, is_web_address, read_picture
from clip_spark.search.answers import hits_table
from clip_spark.search.command import answer, columns_of
from clip_spark.search.hits import Hit, Hits
from clip_spark.search.pair import Pair
from clip_spark.search.searcher import Searcher
from clip_spark.search.spec import WAYS, SearchSpec

HELP = """Type what to look for, or:
  :image PATH   what is like a picture     :like 3      what is like hit 3
  :query TERMS  "beach" - "people"         :open 3      hit 3 in a viewer
  :k 20         hits per query             :show        the last hits again
  :where COND   only such records          :index NAME  another index
  :pair NAME    its other side beside it   :both 0.3    one ranking of both
  :help         this text                  :quit        leave, as Ctrl-D does
:where alone allows all records, :pair alone ends the pair. NAME is a place, or a folder beside this index.
Where there are several tables, hit 2.3 is hit 3 of the second. Ctrl-C clears the line."""


@dataclass
class Session:
    """What the prompt knows.

    Attributes:
        spec: the options of the next query.
        searcher: the open index.
        protocol: how this terminal shows pictures; empty where it shows none.
        folder: for pictures that a viewer opens.
        other: its other side, if there is one.
        hits: of the last query; with another side several tables.
    """

    spec: SearchSpec
    searcher: Searcher
    protocol: str
    folder: str
    other: Searcher | None = None
    hits: list[Hits] = field(default_factory=list)

    @staticmethod
    def open(spec: SearchSpec, protocol: str, folder: str) -> Session:
        """With the indices of a command, whose options are checked."""
        searcher = Searcher.open(spec.index, verify=spec.verify, fetch=spec.fetch)
        other = Searcher.open(spec.pair, verify=spec.verify, fetch=spec.fetch) if spec.pair else None
        found = Session(spec, searcher, protocol, folder, other)
        found.check(spec)
        return found

    def check(self, spec: SearchSpec) -> None:
        """Raise SpecError where a condition or a column does not fit."""
        if self.other is not None:
            Pair(self.searcher, self.other).check(spec.wanted())
            return
        columns_of(self.searcher, spec)
        if spec.where:
            check_where(self.searcher.records, spec.where)

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
        if self.other is not None:
            self.hits = Pair(self.searcher, self.other).answer(spec)
        else:
            self.hits = answer(self.searcher, spec, columns_of(self.searcher, spec))
        self.show("")

    def show(self, _: str) -> None:
        """The last hits, with their pictures where the terminal shows some."""
        if self.protocol and any(has_picture(hit.record) for hits in self.hits for hit in hits):
            from clip_spark.search.contact_sheet import draw_sheet

            draw(escapes(self.protocol, draw_sheet(self.hits)))
        for hits in filter(None, self.hits):
            show_table(hits_table(hits, self.spec.shown_columns), cut=True)
        if not any(self.hits):
            say("No hits.")

    def hit(self, text: str) -> Hit:
        """The hit of a rank: `3`, or `2.3` of the second table."""
        table, _, rank = text.rpartition(".")
        shown = [hits for number, hits in enumerate(self.hits, 1) if str(number) == (table or "1")]
        found = [hit for hits in shown for hit in hits if str(hit.rank) == rank]
        if not found:
            there = f"there are 1 to {len(self.hits[0])}" if self.hits else "search for something first"
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
        spec = replace(self.spec, where=condition)
        self.check(spec)
        self.spec = spec

    def index(self, place: str) -> None:
        """Another index, without another side; the encoder stays if it is the same."""
        found = self._opened(place)
        self._close_pair()
        self.searcher.close()
        self.searcher, self.hits = found, []
        self.spec = replace(self.spec, index=found.manifest.uri, where="", columns=())
        say(summary(self.searcher, self.other))

    def pair(self, place: str) -> None:
        """Another other side from now on, or none."""
        found = self._opened(place) if place else None
        self._close_pair()
        self.other, self.hits = found, []
        self.spec = replace(self.spec, pair=found.manifest.uri if found else "", where="", columns=())
        say(summary(self.searcher, self.other))

    def both(self, weight: str) -> None:
        """One ranking of both sides from now on; 0 ranks each by itself."""
        try:
            self.spec = replace(self.spec, both_weight=float(weight))
        except ValueError:
            raise SpecError(f"':both {weight}' must have a share, such as ':both 0.3'.") from None

    def _opened(self, place: str) -> Searcher:
        if not place:
            raise SpecError("Give an index: its place, or the name of a folder beside this one.")
        beside = storage.join(self.searcher.manifest.uri.rpartition("/")[0], place)
        is_name = "/" not in place and not storage.exists(storage.join(place, MANIFEST))
        found = Searcher.open(beside if is_name else place, fetch=self.spec.fetch)
        found.share_encoder(self.searcher)
        return found

    def _close_pair(self) -> None:
        if self.other is not None:
            self.other.close()
        self.other, self.spec = None, replace(self.spec, pair="", both_weight=0.0)

    def view(self, rank: str) -> None:
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
    "open": Session.view,
    **{name: getattr(Session, name) for name in ("query", "like", "k", "where", "index", "pair", "both", "show")},
    "help": lambda _session, _rest: say(HELP),
}


def summary(searcher: Searcher, other: Searcher | None = None) -> str:
    """*Pure.* One line about what is open."""
    places = [f"{one.rows:,} {one.info.modality}s in {one.manifest.uri}" for one in (searcher, other) if one]
    return f"{' with '.join(places)}, model {searcher.info.encoder['model']}. :help shows commands."
