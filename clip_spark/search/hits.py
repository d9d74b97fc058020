"""*Pure.* What a query wants, and what it gets: `Wanted` and `Hits` are the same for every way to search."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from clip_spark.datasets.spec import COLUMN, option
from clip_spark.errors import SpecError

if TYPE_CHECKING:
    import pyarrow as pa

HIT_COLUMNS = ("query", "query_id", "rank", "score", "chance")
"""What a hit says itself; n-grams have a `score` of their own."""


@dataclass(frozen=True, kw_only=True)
class HitOptions:
    """The options that every search has; specs inherit them, so that each is declared and explained once."""

    k: int = option("hits per query", 10)
    threshold: float = option("least score (cosine) of a hit; -1 takes all", -1.0)
    where: str = option("condition on the records' columns, such as \"n = 2 and text like '%dog%'\"", "")
    unique: float = option("drop hits whose cosine with a better one is at least this, such as 0.95; 0 keeps all", 0.0)
    relevant: float = option(
        "only hits that a query about nothing would not get with this probability, such as 0.95; 0 takes all",
        0.0,
        later=True,
    )
    raw: bool = option("rank by cosine alone, hubs first, where the index is calibrated", False, later=True)
    quarantine_hubs: bool = option(
        "leave out what answers too many unrelated queries, where the index is calibrated",
        False,
        later=True,
    )

    def wanted(self, **other: Any) -> Wanted:
        """*Pure.* The hits that these options ask for, with some of them `other` than they are."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(Wanted) if hasattr(self, f.name)}
        return Wanted(**{**own, **other})


@dataclass(frozen=True, kw_only=True)
class Wanted(HitOptions):
    """Which hits a query gets: one page of them, and which columns of their records."""

    offset: int = option("leave out so many hits at the beginning", 0)
    columns: tuple[str, ...] = option("columns of the records to show and save; empty means all", (), holds=COLUMN)

    def __post_init__(self) -> None:
        if self.k < 1:
            raise SpecError(f"k is {self.k}; it must be at least 1.")
        if self.offset < 0:
            raise SpecError(f"The offset is {self.offset}; it must be at least 0.")
        if not (self.relevant == 0 or 0.5 <= self.relevant <= 0.99):
            raise SpecError(f"relevant is {self.relevant:g}; it must be 0 or from 0.5 to 0.99.")


@dataclass(frozen=True)
class Hit:
    """One answer.

    Attributes:
        rank: from 1, over all pages.
        score: cosine.
        record: the columns of the record; empty where they were not asked for.
        position: row number in the index; what clip-retrieval calls an id.
        chance: how often an unrelated pair scores as high; None where the index has not learnt it of such queries.
    """

    rank: int
    score: float
    record: dict[str, Any]
    position: int = -1
    chance: float | None = None

    def row(self) -> dict[str, Any]:
        """*Pure.* Rank, score, chance if it is known, and all columns of the record; a score of the record's own is its
        `record_score`."""
        known = {} if self.chance is None else {"chance": rounded_chance(self.chance)}
        return {"rank": self.rank, "score": round(self.score, 6), **known, **record_columns(self.record)}


@dataclass(frozen=True)
class Hits(Sequence[Hit]):
    """The hits of one query, best first.

    Attributes:
        found: the hits.
        query: the query in words, for people.
        schema: of the records; None lets tables of hits guess the types.
    """

    found: tuple[Hit, ...]
    query: str = ""
    schema: pa.Schema | None = None

    @overload
    def __getitem__(self, place: int) -> Hit: ...
    @overload
    def __getitem__(self, place: slice) -> Hits: ...
    def __getitem__(self, place: int | slice) -> Hit | Hits:
        return dataclasses.replace(self, found=self.found[place]) if isinstance(place, slice) else self.found[place]

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.found)

    def rows(self) -> list[dict[str, Any]]:
        """*Pure.* One row per hit: query, rank, score and all columns of the record."""
        return [{"query": self.query, **hit.row()} for hit in self.found]

    def to_arrow(self) -> pa.Table:
        """*Pure.* The same as an Arrow table."""
        import pyarrow as pa

        if self.schema is None:
            return pa.Table.from_pylist(self.rows())
        own = [("query", pa.string()), ("rank", pa.int64()), ("score", pa.float64())]
        if any(hit.chance is not None for hit in self.found):
            own.append(("chance", pa.float64()))
        columns = [field.with_name(hit_column(field.name)) for field in self.schema]
        return pa.Table.from_pylist(self.rows(), pa.schema([*own, *columns]))

    def to_pandas(self) -> Any:
        """*Pure.* The same as a pandas DataFrame."""
        return self.to_arrow().to_pandas()

    def _repr_html_(self) -> str:
        """*Worker.* What a notebook shows: the hits with their pictures inside the page."""
        from clip_spark.search.contact_sheet import hits_section

        return hits_section(self)


def rounded_chance(chance: float) -> float:
    """*Pure.* Three digits of it: more are noise."""
    return float(f"{chance:.3g}")


def hit_column(name: str) -> str:
    """*Pure.* What a record's column is called in a row that is a hit: `record_score` for `score`."""
    return f"record_{name}" if name in HIT_COLUMNS else name


def record_columns(record: Mapping[str, Any]) -> dict[str, Any]:
    """*Pure.* A record under the names that its columns have in a row that is a hit."""
    return {hit_column(name): value for name, value in record.items()}
