"""*Pure.* The spec of mcp."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import URI, check_not_empty, option
from clip_spark.web.spec import named_uris


@dataclass(frozen=True, kw_only=True)
class AgentSpec:
    """mcp: tools for agents over one or more indices, on standard input and output."""

    index: tuple[str, ...] = option("indices to search; NAME=URI gives one a name", holds=URI)
    map: tuple[str, ...] = option("maps of the indices' embeddings; NAME=URI gives one a name", (), holds=URI)

    def __post_init__(self) -> None:
        check_not_empty("index", self.index)
        named_uris(self.index)
        named_uris(self.map, "map")
