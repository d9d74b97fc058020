"""*Anywhere.* Modules of the page as one script: a browser asks for one file, and pages that stand alone hold it."""

from __future__ import annotations

import re
from collections.abc import Collection
from importlib.resources import files
from typing import Any

IMPORT = re.compile(r'^import \{ ?([^}]+?) ?\} from "\./(\w+)\.js";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const))", re.MULTILINE)
EXPORTED = re.compile(r"^export (?:async )?(?:function|class|const) ([\w$]+)", re.MULTILINE)


def static_file(name: str) -> str:
    """*Anywhere.* One of the files that the web page is made of; they come with the package."""
    place: Any = files("clip_spark") / "web" / "static" / name
    return place.read_text("utf-8")


def script(entry: str) -> str:
    """*Anywhere.* A module and all that it imports, as one script in which its exports are `<entry>.<name>`."""
    return "\n".join(joined(entry).values())


def joined(entry: str, outside: Collection[str] = ()) -> dict[str, str]:
    """*Anywhere.* A module and all that it imports, each behind what it needs: name -> a constant with its exports.

    Those of `outside` are left out: whoever uses the constants has them under the same names.
    """
    done: dict[str, str] = {}
    _add(entry, outside, done)
    return done


def _add(name: str, outside: Collection[str], done: dict[str, str]) -> None:
    if name in done or name in outside:
        return
    source = static_file(f"{name}.js")
    for _, other in IMPORT.findall(source):
        _add(other, outside, done)
    inner = EXPORT.sub("", IMPORT.sub(lambda found: f"const {{ {found[1]} }} = {found[2]};\n", source))
    done[name] = f"const {name} = (() => {{\n{inner}\nreturn {{ {', '.join(EXPORTED.findall(source))} }};\n}})();"
