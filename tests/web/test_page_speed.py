"""How few round trips the page needs; times on a machine are not asserted."""

from __future__ import annotations

import re
from pathlib import Path

STATIC = Path(__file__).resolve().parents[2] / "clip_spark" / "web" / "static"


def test_every_module_is_asked_for_at_once() -> None:
    page = (STATIC / "index.html").read_text()
    imported = {name for file in STATIC.glob("*.js") for name in re.findall(r'from "\./(\w+\.js)"', file.read_text())}
    assert set(re.findall(r'modulepreload" href="static/(\w+\.js)"', page)) == imported
