"""Make the corpus of the n-gram benchmark: English technical text from four Debian packages, markup stripped.

    python scripts/make_bench_corpus.py bench-corpus/            # about 171 MB, needs apt-get and dpkg-deb
    python scripts/make_bench_corpus.py bench-corpus/ --factor 4 # three more copies with other words in the same places

A larger factor appends copies in which every word is replaced by another of about the same frequency: the text
is new, but its distribution (Zipf's law, repeats) stays, so that growth is measured on distinct text.
"""

from __future__ import annotations

import argparse
import gzip
import html
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("linux-doc-6.1", "python3.11-doc", "wordnet-base", "dict-gcide")
NOT_TEXT = (".svg", ".png", ".js", ".css", ".ttf", ".woff2", ".litmus", ".index", ".ico", ".gif", ".inv", ".map")
SAME_TEXT_AGAIN = {"_sources", "info"}
"""Folders that hold the text of the HTML pages beside them once more."""
TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^<>]*>", re.DOTALL | re.IGNORECASE)
BLANK_LINES = re.compile(r"\n\s*\n+")
WORDS = re.compile(r"\w+")


def main() -> int:
    """Parse, fetch, strip, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--packages", nargs="+", default=PACKAGES)
    parser.add_argument("--factor", type=int, default=1)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for package in options.packages:
            fetch(package, Path(scratch))
            path = options.output / f"{package}.txt"
            path.write_text("".join(texts(Path(scratch) / package)), encoding="utf-8", newline="\n")
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    sources = [options.output / f"{package}.txt" for package in options.packages]
    counts = count_words(sources) if options.factor > 1 else Counter()
    for copy in range(1, options.factor):
        reword(options.output, sources, counts, copy)
    return 0


def fetch(package: str, scratch: Path) -> None:
    """Download and unpack one Debian package; nothing is installed."""
    subprocess.run(["apt-get", "download", "-q", package], cwd=scratch, check=True, stdout=subprocess.DEVNULL)
    (deb,) = scratch.glob(f"{package}_*.deb")
    subprocess.run(["dpkg-deb", "-x", deb, scratch / package], check=True)


def texts(folder: Path) -> Iterator[str]:
    """The text of every file that is text, in the order of the paths."""
    for path in sorted(folder.rglob("*")):
        name = path.name.lower().removesuffix(".gz").removesuffix(".dz")
        is_new = path.is_file() and not path.is_symlink() and not SAME_TEXT_AGAIN & set(path.parts)
        if is_new and not name.endswith(NOT_TEXT):
            yield strip(read(path), is_markup=name.endswith((".html", ".xml")))


def read(path: Path) -> str:
    """A file's text, unpacked if its name says that it is packed."""
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix in (".gz", ".dz") else data
    return data.decode("utf-8", "replace")


def strip(text: str, is_markup: bool) -> str:
    """Text without tags and without blank lines, ending with a line end."""
    if is_markup:
        text = html.unescape(TAGS.sub("", text))
    text = BLANK_LINES.sub("\n", text.replace("\r\n", "\n")).strip("\n")
    return text + "\n" if text else ""


def count_words(sources: list[Path]) -> Counter[str]:
    """How often each word occurs in all the files."""
    return Counter(word for path in sources for line in path.open(encoding="utf-8") for word in WORDS.findall(line))


def reword(folder: Path, sources: list[Path], counts: Counter[str], copy: int) -> None:
    """Write each source again with its words swapped for others of about the same frequency."""
    ranked = [word for word, _ in counts.most_common()]
    shuffled = list(ranked)
    rng = random.Random(copy)
    start = 0
    while start < len(ranked):  # ranks are swapped within a band, bands are a tenth of the rank wide
        end = start + max(2, start // 10)
        band = shuffled[start:end]
        rng.shuffle(band)
        # Rare words become new ones: so the vocabulary grows, as it does with real text.
        shuffled[start:end] = [f"{word}{'xqzv'[copy % 4]}" if counts[word] < 50 else word for word in band]
        start = end
    swap = dict(zip(ranked, shuffled, strict=True))
    for path in sources:
        target = folder / f"{path.stem}-{copy}.txt"
        with target.open("w", encoding="utf-8", newline="\n") as stream:
            for line in path.open(encoding="utf-8", newline="\n"):
                stream.write(WORDS.sub(lambda match: swap[match[0]], line))
        print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
