"""Run the notebooks over the demo and write them, with what they show, to docs/notebooks (`make notebooks`).

    python scripts/make_notebooks.py --demo demo-out

A notebook is a Python file with cells (jupytext's percent format), so that it can be read, compared and run as it is.
Needs jupytext, nbclient, nbconvert and ipykernel: pip install 'clip-spark[notebooks]'.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

import jupytext
import nbconvert
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "notebooks"
SECONDS = 900
"""Of one cell, on a busy machine."""
QUIET = "import logging, os, warnings\nlogging.disable(logging.INFO)\nwarnings.simplefilter('ignore')\n"
STYLE = re.compile(r"<style scoped.*?</style>\s*", re.DOTALL)


def run(file: Path, work: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as a page in markdown, and its pictures by name; whatever a cell raises ends it."""
    notebook = jupytext.read(file)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    source, first.source = first.source, QUIET + first.source
    where = {"metadata": {"path": str(work)}}
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=where).execute()
    first.source = source
    for cell in notebook.cells:  # Spark's own log lines are of the machine, not of the work
        cell["outputs"] = [one for one in cell.get("outputs", ()) if one.get("name") != "stderr"]
    text, found = nbconvert.MarkdownExporter().from_notebook_node(notebook, resources={"unique_key": file.stem})
    for name in found.get("outputs", {}):
        text = text.replace(f"({name})", f"(pictures/{Path(name).name})")
    pictures = {Path(name).name: data for name, data in found.get("outputs", {}).items()}
    return STYLE.sub("", text), pictures


def main() -> int:
    """Run all, write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, required=True, help="folder of `make demo`")
    given = parser.parse_args()
    (PAGES / "pictures").mkdir(parents=True, exist_ok=True)
    for file in sorted((ROOT / "notebooks").glob("*.py")):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "demo-out").symlink_to(given.demo.resolve())
            text, pictures = run(file, Path(folder))
        (PAGES / f"{file.stem}.md").write_text(text.replace(folder, "").replace(str(given.demo.resolve()), "demo-out"))
        for name, data in pictures.items():
            (PAGES / "pictures" / name).write_bytes(data)
        sys.stderr.write(f"{file.name} -> docs/notebooks/{file.stem}.md, {len(pictures)} pictures\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
