"""*Server.* What a request of a map is about."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from clip_spark.index.files.one_encoder import check_same_encoder
from clip_spark.web.catalog import Catalog
from clip_spark.web.errors import NotFound
from clip_spark.web.maps.served_map import ServedMap
from clip_spark.web.parameters import known_parameters
from clip_spark.web.served import ServedIndex

ARROW = "application/vnd.apache.arrow.file"
KNOWN = [Depends(known_parameters)]
Version = Annotated[str, Query(max_length=40, description="refused if the map has another generation now")]


def map_of(request: Request, name: str, version: str = "") -> ServedMap:
    """*Server.* The map of a name, in a generation; raises NotFound."""
    maps = catalog_of(request).maps
    if name not in maps:
        raise NotFound(f"There is no map {name[:80]!r}; there are: {', '.join(maps) or 'none (--map gives one)'}.")
    if version and version != maps[name].version:
        raise NotFound(f"The map '{name}' has been made anew; load the page again.")
    return maps[name]


def catalog_of(request: Request) -> Catalog:
    """*Server.* All that is served."""
    found: Catalog = request.app.state.catalog
    return found


def target_of(catalog: Catalog, served: ServedMap, name: str) -> ServedIndex:
    """*Server.* The index that is asked for a map, its pictures' where none is named; raises ModelError, NotFound."""
    target = catalog.get(name or served.homes["image"])
    check_same_encoder(served.manifest.extra["encoder"], target.searcher.info.encoder, "the queries", "The map")
    return target
