"""Draw the map of the rooms into clip_spark/README.md: each room, what it says of itself, and its files.

python scripts/draw_map.py           # draw it
python scripts/draw_map.py --check   # exit status 1 if the page has another map
"""

from __future__ import annotations

import ast
import re
import sys
from itertools import takewhile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "clip_spark"
PAGE = PACKAGE / "README.md"
BEGIN, END = "<!-- Drawn by scripts/draw_map.py; do not edit. -->\n", "<!-- End of the map. -->\n"
ROOMS = (
    "api", "commands", "web", "analysis", "search", "index", "embed", "encoders", "texts", "pictures", "runtime",
    "datasets", "storage",
)  # fmt: skip
"""From the roof to the ground."""


def docstring(path: Path) -> str:
    """The docstring of a file."""
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def tag_and_sentence(path: Path) -> tuple[str, str]:
    """Where a file runs, and the first sentence of its docstring."""
    first = " ".join(docstring(path).split("\n\n")[0].split())
    found = re.match(r"\*(\w+)\.\* ?(.*)", first)
    tag, text = (found[1].lower(), found[2]) if found else ("", first)
    return tag, re.split(r"(?<=[^.])\.(?=\s|$)|:$", text, maxsplit=1)[0].replace("|", "\\|")


def room(name: str) -> str:
    """The section of one room."""
    folder = PACKAGE / name
    lines = [line for line in docstring(folder / "__init__.py").splitlines() if line.strip()]
    says = list(takewhile(lambda line: not line.startswith((" ", "from ", "import ")), lines))[:3]
    files = [path for path in sorted(folder.rglob("*.py")) if path.name != "__init__.py" or path.parent != folder]
    rows = [row(path, folder) for path in files if docstring(path)]
    said = re.sub(r"^\*\w+\.\* ", "", " ".join(says))
    return "\n".join([f"### {name}/", "", said, "", "| file | runs | |", "|---|---|---|", *rows, ""])


def row(path: Path, folder: Path) -> str:
    """The line of one file."""
    tag, sentence = tag_and_sentence(path)
    return f"| `{str(path.relative_to(folder)).removesuffix('__init__.py')}` | {tag} | {sentence} |"


def with_map(page: str) -> str:
    """The page with today's map."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{chr(10).join(map(room, ROOMS))}\n{END}{rest.split(END)[1]}"


def main() -> int:
    """Draw or compare; returns the exit status."""
    text = PAGE.read_text()
    if "--check" in sys.argv[1:]:
        return int(with_map(text) != text)
    PAGE.write_text(with_map(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
