"""*Pure.* What queries of the other kind have taught an index: which items are hubs, and what scores mean.

A hub is an item that is near to most of what is asked, whatever it is. Each item has a penalty: the mean cosine of the
queries nearest to it, times a strength. A search ranks by cosine minus penalty.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LISTS = ("hubs", "quarantined", "pairs", "nothing", "centre")


@dataclass(frozen=True)
class Calibration:
    """How an index corrects for hubs; penalties and references are files of it.

    Attributes:
        asked_by: kind of the queries, `text` or `image`; those of the other kind are not corrected.
        strength: share of the mean that an item loses; 0 where cosines alone did best.
        nearest: queries that the mean is over.
        least: the least penalty of any item; a search may stop where no other item can be better.
        queries: the dataset that they were drawn from, as plans name inputs.
        figures: what was measured to choose `strength` and `nearest`.
        hubs: the items that answer most queries, for people.
        quarantined: positions of those that answer queries which have nothing to do with each other.
        pairs: relative scores that unrelated pairs reach, for `meaning.PROBABILITIES`, rising.
        nothing: scores above their ground that hits of queries about nothing stay below, by `meaning.LEVELS`: for the
            ranks `meaning.PLACES`, as far as there are so many items.
        centre: the mean of the items.
    """

    asked_by: str
    strength: float
    nearest: int
    least: float = 0.0
    queries: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    hubs: tuple[dict[str, Any], ...] = ()
    quarantined: tuple[int, ...] = ()
    pairs: tuple[float, ...] = ()
    nothing: tuple[tuple[float, ...], ...] = ()
    centre: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """*Pure.* Ready for JSON."""
        return {**dataclasses.asdict(self), **{name: list(getattr(self, name)) for name in LISTS}}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Calibration:
        """*Pure.* The inverse of `to_json`; keys of other versions are ignored."""
        known = {f.name for f in dataclasses.fields(Calibration)}
        plain = {key: item for key, item in value.items() if key in known}
        lists = {name: tuple(plain.get(name, ())) for name in LISTS}
        lists["nothing"] = (
            tuple(map(tuple, lists["nothing"])) if lists["centre"] else ()
        )  # before, it meant another thing
        return Calibration(**{**plain, **lists})
