"""*Driver.* --html: a map as one page that stands alone and opens from a disk; it asks nobody for anything."""

from __future__ import annotations

import base64
import html

from clip_spark import storage
from clip_spark.analysis.map.script import script, static_file
from clip_spark.analysis.map.stored import stored_map
from clip_spark.datasets.manifest import Manifest

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; \
style-src 'unsafe-inline'; img-src data: blob:; connect-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>:root {{ color-scheme: light dark; }}
body {{ margin: 0; padding: 12px; background: light-dark(#f6f6f4, #121316); }}
main {{ height: calc(100dvh - 24px); }} @media (max-width: 860px) {{ main {{ height: auto; }} }}
{style}</style></head>
<body><main id="here"><noscript>This map needs JavaScript.</noscript></main>
<script type="text/plain" id="data">{data}</script>
<script type="module">
{script}
map_stored.showStored(document.getElementById("here"), document.getElementById("data").textContent);
</script></body></html>
"""


def write_page(manifest: Manifest, uri: str) -> None:
    """*Driver.* Write the page of a finished map to a file."""
    page = PAGE.format(
        title=html.escape(f"Map of {storage.name(manifest.uri)}"),
        style=static_file("map.css"),
        data=base64.b64encode(stored_map(manifest)).decode(),
        script=script("map_stored"),
    )
    storage.write_bytes(uri, page.encode())
