"""*Anywhere.* The modules of the page's map as one script, for pages that stand alone and for notebooks."""

from __future__ import annotations

import re
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
    done: dict[str, str] = {}
    _add(entry, done)
    return "\n".join(done.values())


def modules_of(entry: str) -> list[str]:
    """*Anywhere.* The names of a module and of all that it imports, each once."""
    found = [entry]
    for name in found:  # it grows meanwhile
        found += [other for _, other in IMPORT.findall(static_file(f"{name}.js")) if other not in found]
    return found


def _add(name: str, done: dict[str, str]) -> None:
    if name in done:
        return
    source = static_file(f"{name}.js")
    for _, other in IMPORT.findall(source):
        _add(other, done)
    inner = EXPORT.sub("", IMPORT.sub(lambda found: f"const {{ {found[1]} }} = {found[2]};\n", source))
    done[name] = f"const {name} = (() => {{\n{inner}\nreturn {{ {', '.join(EXPORTED.findall(source))} }};\n}})();"
