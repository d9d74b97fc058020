"""Write the docs' tables of speed from what the benchmarks found: a figure there is a figure of a run.

    python scripts/write_tables.py --take build/bench   # what `make bench` has found becomes docs/figures/
    python scripts/write_tables.py                      # write the tables again
    python scripts/write_tables.py --check              # exit status 1 if a page has other tables

A table stands between two comments on a page: `<!-- figures/NAME.json -->` and `<!-- end of figures -->`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
FIGURES = DOCS / "figures"
BLOCK = re.compile(r"(<!-- figures/(\w+)\.json -->\n).*?(<!-- end of figures -->)", re.S)
Cells = Sequence[object]


def main() -> int:
    """Parse, take, write or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--take", type=Path, help="folder with the JSON of benchmarks")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.take:
        take(options.take)
    old = []
    for page in sorted(DOCS.glob("*.md")):
        now = page.read_text()
        due = BLOCK.sub(written, now)
        if due != now:
            old.append(page.name)
            if not options.check:
                page.write_text(due)
    print("\n".join(f"{name}: {'has other tables' if options.check else 'written'}" for name in old))
    return int(options.check and bool(old))


def take(folder: Path) -> None:
    """Keep what benchmarks have found there; not what had no peer to compare with."""
    for name, drawn in TABLES.items():
        found = folder / f"{name}.json"
        if found.exists() and drawn(json.loads(found.read_text())):
            shutil.copyfile(found, FIGURES / found.name)


def written(block: re.Match[str]) -> str:
    """A block with the table of its figures and a sentence on the machine."""
    begin, name, end = block.groups()
    found = json.loads((FIGURES / f"{name}.json").read_text())
    return f"{begin}{TABLES[name](found)}\n\n{machine(found)}\n{end}"


def machine(found: dict[str, Any]) -> str:
    """What the figures are of."""
    on = found["machine"]
    has = ", ".join(on["has"]) or "no AVX2"
    versions = ", ".join(f"{name} {version}" for name, version in on["versions"].items())
    return (
        f"{on['cpu']} ({has}), {on['cores']} cores, load {on['load_before']} before, {on['day']}; "
        f"Python {on['python']}, {versions}."
    )


def table(heads: Cells, rows: Sequence[Cells]) -> str:
    """In Markdown, all but the first column to the right."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (heads, *rows)]
    return "\n".join([lines[0], "|---|" + "--:|" * (len(heads) - 1), *lines[1:]])


def number(value: float | None, digits: int = 1) -> str:
    """With so many digits behind the point, and thousands set apart; empty where there is none."""
    return "" if value is None else f"{value:,.{digits}f}"


def gigabytes(count: float | None) -> str:
    """Of bytes."""
    return "" if count is None else f"{count / 1e9:.2f} GB"


def ngrams(found: dict[str, Any]) -> str:
    """Counting."""
    rows = []
    for row in found["summary"]:
        if "failed" in row:
            rows.append([row["peer"], row["failed"], "", "", "", ""])
            continue
        same = "yes" if row["equal"] else "no"
        figures = number(row["seconds"]), number(row["times_slower"], 2), number(row["cpu_seconds"])
        rows.append([row["peer"], *figures, gigabytes(row["peak_bytes"]), same])
    return table(["", "seconds", "to ours", "CPU seconds", "peak memory", "counts equal ours"], rows)


def encode(found: dict[str, Any]) -> str:
    """Encoders, pictures and captions."""
    rows = [
        [
            f"{row['engine']}, {row['modality']}s",
            number(row["per_second"]),
            number(row["per_cpu_second"]),
            ", ".join(f"{ratio:.2f}" for ratio in row["ratios"]),
            number(row["least_cosine"], 5),
        ]
        for row in found["summary"]
    ]
    return table(["", "a second", "a CPU second", "`ours` is so many times, by round", "least cosine"], rows)


def index(found: dict[str, Any]) -> str:
    """Builds and searches."""
    heads = ["", "index", "build s", "CPU s, searches too", "peak, all processes"]
    heads += ["beside mapped files", "recall@10 self", "cross-modal", "ms one by one", "ms batched", "opens in ms"]
    rows = []
    for row in found["candidates"]:
        if "failed" in row:
            rows.append([row["candidate"], row["failed"], *[""] * (len(heads) - 2)])
            continue
        memory = gigabytes(row["peak_bytes"]), gigabytes(row["peak_bytes_without_files"])
        times = number(row["ms_single"], 2), number(row["ms_batched"], 3), number(row["open_ms"])
        recalls = number(row["recall_self"], 4), number(row["recall_cross"], 4)
        build = number(row["build_seconds"]), number(row["cpu_seconds"], 0)
        rows.append([row["candidate"], row["note"], *build, *memory, *recalls, *times])
    return table(heads, rows)


def serve(found: dict[str, Any]) -> str:
    """Requests a second beside clip-retrieval's server, by clients."""
    if not found["summary"]:
        return ""
    loads = list(dict.fromkeys(row["workload"] for row in found["summary"]))
    cells = {
        (row["clients"], row["workload"]): " = ".join(
            [" : ".join(number(row[server]["qps"]) for server in ("ours", "clip-back")), number(row["times"], 2)]
        )
        for row in found["summary"]
    }
    clients = sorted({row["clients"] for row in found["summary"]})
    return table(["clients", *loads], [[each, *(cells.get((each, load), "") for load in loads)] for each in clients])


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "ngrams": ngrams,
    "encode": encode,
    "index_100k": index,
    "index_1m": index,
    "serve": serve,
}

if __name__ == "__main__":
    sys.exit(main())
