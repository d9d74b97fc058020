"""*Server.* The page, and what its address will need: told with it, so that a browser asks for all of it at once.

A map would else be there after five round trips: the page, its modules, those of maps, what the map is, its tiles.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import FileResponse

from clip_spark.analysis.map.script import modules_of
from clip_spark.web.access import knows_token
from clip_spark.web.catalog import Catalog

STATIC = Path(__file__).parent / "static"
UNQUOTED = "!'()*"
"""What encodeURIComponent leaves, and quote does not: another address would be asked for twice."""


def page(request: Request) -> FileResponse:
    """*Server.* The page."""
    ahead = _of_a_map(request, request.query_params.get("map", ""))
    links = {"Link": ", ".join(ahead)} if ahead else {}
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache", **links})


def _of_a_map(request: Request, name: str) -> list[str]:
    """What a map needs; nothing for those who may not know that there is one."""
    catalog: Catalog = request.app.state.catalog
    token, headers = request.app.state.token, dict(request.scope["headers"])
    if name not in catalog.maps or (token and not knows_token(headers, token)):
        return []
    served, base = catalog.maps[name], f"maps/{quote(name, safe=UNQUOTED)}"
    first = [f"{base}/tiles/{tile}?version={served.version}" for tile in served.tiles if tile.split("-")[1] == "0"]
    fetched = [f"<{address}>; rel=preload; as=fetch; crossorigin" for address in (base, *first)]
    return ["<static/map.css>; rel=preload; as=style", *fetched, *_modules()]


@cache
def _modules() -> list[str]:
    return [f"<static/{name}.js>; rel=modulepreload" for name in modules_of("map_page")]
