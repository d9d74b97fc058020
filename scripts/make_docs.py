"""Build the documentation as a site in build/site; a broken link, a lost page or an unknown name ends it with status 1.

The pages are the ones that people read in the repository (README, docs/, the architecture page, the changelog), with
links between them turned into links of the site, and a page for `import clip_spark as cs` made from its docstrings.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import clip_spark
from clip_spark.commands.registry import STEPS

ROOT = Path(__file__).resolve().parents[1]
WORK, SITE = ROOT / "build" / "docs", ROOT / "build" / "site"
CONFIG = ROOT / "docs" / "zensical.toml"
RENAMED = {
    "README.md": "index.md",
    "docs/index.md": "indices.md",
    "clip_spark/README.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Pages that have another name in the site; all others of docs/ keep theirs."""
PICTURES = (".png", ".svg", ".jpg", ".webp")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
API_HEAD = """# From Python

```python
import clip_spark as cs
```

Importing it loads nothing; each name is imported at its first use. Every step takes its options as keywords and returns
a [`Dataset`](#clip_spark.Dataset), which may be given to the next step. A mistake raises a
[`UserError`](#clip_spark.UserError).

"""


class Broken(Exception):
    """A link of a page leads nowhere."""


def pages() -> dict[Path, str]:
    """File of the repository -> name of its page."""
    files = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "notebooks").glob("*.md"))]
    files += [ROOT / name for name in RENAMED]
    found = {file: str(file.relative_to(ROOT)) for file in dict.fromkeys(files) if file.exists()}
    return {file: RENAMED.get(name, file.name) for file, name in found.items()}


def page_text(file: Path, known: dict[Path, str]) -> str:
    """A page with its links as the site needs them; code is left alone."""
    parts = FENCE.split(file.read_text())
    return "".join(part if part.startswith("```") else LINK.sub(link_of(file, known), part) for part in parts)


def link_of(file: Path, known: dict[Path, str]) -> Callable[[re.Match[str]], str]:
    """What becomes of a link: to a page, to a copied picture, or, for a source file, its path in words."""

    def replace(found: re.Match[str]) -> str:
        picture, text, target = found.groups()
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:") or not path:
            return found[0]
        aim = Path(os.path.normpath(file.parent / path))
        if not aim.exists():
            raise Broken(f"{file.relative_to(ROOT)} links to '{target}', which does not exist.")
        if aim in known:
            return f"{picture}[{text}]({known[aim]}{'#' + anchor if anchor else ''})"
        if aim.suffix in PICTURES:
            copied = WORK / "pages" / "pictures" / aim.name
            copied.parent.mkdir(exist_ok=True)
            shutil.copy(aim, copied)
            return f"{picture}[{text}](pictures/{aim.name})"
        return text if text == path else f"{text} (`{aim.relative_to(ROOT)}`)"

    return replace


def api_page() -> str:
    """The page of the public API: steps first, in the order of the registry, then everything else."""
    steps = [name.replace("-", "_") for name in STEPS]
    others = [name for name in clip_spark.__all__ if name not in steps and name != "__version__"]
    errors = [name for name in others if name.endswith("Error")]
    sections = {
        "Steps": steps,
        "What is there": [name for name in others if name not in errors and name[0].islower()],
        "Objects": [name for name in others if name not in errors and name[0].isupper()],
        "Errors": errors,
    }
    written = [f"## {title}\n\n" + "\n".join(map(entry, names)) for title, names in sections.items()]
    return API_HEAD + "\n".join(written)


def entry(name: str) -> str:
    """The directive for one name; a step's text is in the stub, all others' where they are written."""
    place = clip_spark._PLACES[name]
    path = f"clip_spark.{name}" if name in clip_spark._STEPS else f"clip_spark.{place}.{name}"
    return f'<a id="clip_spark.{name}"></a>\n\n::: {path}\n'


def check_nav(names: set[str]) -> None:
    """Raise Broken unless the site's menu has exactly the pages."""
    listed = set(
        re.findall(r'"([\w-]+\.md)"', str(tomllib.loads(CONFIG.read_text())["project"]["nav"]).replace("'", '"'))
    )
    if listed != names:
        raise Broken(f"docs/zensical.toml and the pages differ in {', '.join(sorted(listed ^ names))}.")


def main() -> int:
    """Assemble, build; returns the exit status."""
    known = pages()
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "pages").mkdir(parents=True)
    try:
        check_nav({*known.values(), "api.md"})
        for file, name in known.items():
            (WORK / "pages" / name).write_text(page_text(file, known))
    except Broken as error:
        print(f"make_docs: {error}", file=sys.stderr)
        return 1
    (WORK / "pages" / "api.md").write_text(api_page())
    shutil.copy(CONFIG, WORK)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=WORK, check=False)
    if done.returncode == 0:
        shutil.rmtree(SITE, ignore_errors=True)
        (WORK / "site").rename(SITE)
        print(f"docs: {SITE.relative_to(ROOT)}/index.html")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
