"""*Server.* The page with its first answer, its modules in two scripts, and what its address will need, told with it.

Thirty modules would be as many requests, six at a time; a map would be there after five round trips: the page, its
modules, those of maps, what the map is, its tiles. The files below static/ stay as they are written; nobody builds.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from clip_spark.analysis.map.script import joined
from clip_spark.web.ahead import answer_ahead, may_know
from clip_spark.web.catalog import Catalog
from clip_spark.web.parameters import has_tag

STATIC = Path(__file__).parent / "static"
UNQUOTED = "!'()*"
"""What encodeURIComponent leaves, and quote does not: another address would be asked for twice."""
END = b"</body>"

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page(request: Request) -> Response:
    """The page."""
    links = _of_a_map(request, request.query_params.get("map", ""))
    headers = {"Cache-Control": "private, no-cache", **({"Link": ", ".join(links)} if links else {})}
    answer = await answer_ahead(request)
    data = b'<script type="application/json" id="ahead">%b</script>\n' % answer if answer else b""
    return HTMLResponse(_html().replace(END, data + END), headers=headers)


@cache
def _html() -> bytes:
    return (STATIC / "index.html").read_bytes()


@router.get("/static/whole_page.js")
async def whole_page(request: Request) -> Response:
    """All modules but those of maps; each is exported under its name."""
    return _script(request, page_script())


@router.get("/static/whole_map.js")
async def whole_map(request: Request) -> Response:
    """The modules of maps, which most visits do without."""
    return _script(request, map_script())


@cache
def page_script() -> str:
    """*Server.* The modules of the page as one."""
    parts = joined("main")
    lines = [*parts.values(), f"export {{ {', '.join(parts)} }};", ""]
    return "\n".join(lines).replace('import("./map_page.js")', 'import("./whole_map.js")')


@cache
def map_script() -> str:
    """*Server.* The modules of maps as one, over those of the page."""
    shared = joined("main")
    parts = joined("map_page", shared)
    head = f'import {{ {", ".join(shared)} }} from "./whole_page.js";'
    return "\n".join([head, *parts.values(), "export const { showMap } = map_page;", ""])


def _script(request: Request, text: str) -> Response:
    tag = _tag(text)
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if has_tag(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(text, media_type="text/javascript", headers=headers)


@cache
def _tag(text: str) -> str:
    return f'"{sha256(text.encode()).hexdigest()[:16]}"'


def _of_a_map(request: Request, name: str) -> list[str]:
    """What a map needs; nothing for those who may not know that there is one."""
    catalog: Catalog = request.app.state.catalog
    if name not in catalog.maps or not may_know(request):
        return []
    served, base = catalog.maps[name], f"maps/{quote(name, safe=UNQUOTED)}"
    first = [f"{base}/tiles/{tile}?version={served.version}" for tile in served.tiles if tile.split("-")[1] == "0"]
    fetched = [f"<{address}>; rel=preload; as=fetch; crossorigin" for address in (base, *first)]
    return ["<static/map.css>; rel=preload; as=style", "<static/whole_map.js>; rel=modulepreload", *fetched]
