"""How much better n-grams that pictures show tag than the most frequent ones, on what `clip-spark demo` has left.

    python scripts/make_bench_corpus.py words/ --packages wordnet-base dict-gcide
    python scripts/bench_visibility.py --demo demo-out --corpus words/ --seed 5 --seed 6 [--json visibility.json]

Candidates are the most frequent n-grams of a corpus of texts (English dictionaries), up to three words, and beside that
those of the demo itself, whose corpus is nothing but the labels of its pictures. Half of the pictures rank, the other
half is tagged with the best of them; a tag is right if it is part of the picture's name or keywords, and mAP counts all
candidates that are right, whether they were kept or not. The mean over draws of the halves by --seed, and over them the
least gain of any one; docs/ngrams.md has the summary.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]
from bench_answers import DEEP, Set, best, right_tags  # noqa: E402

from clip_spark.encoders import load_encoder  # noqa: E402
from clip_spark.encoders.spec import EncoderSpec  # noqa: E402
from clip_spark.texts.ngrams.ranking.drop_reasons import languages  # noqa: E402
from clip_spark.texts.ngrams.ranking.visibility import TEXTS, View  # noqa: E402

CANDIDATES, LEAST, HELD = 20_000, 5, 6_000_000
KEPT = (500, 1000, 2000, 10_000)
LINE = "{texts:24} {ranked by:28} {kept:5} mAP {mAP:.3f} {times:.2f} times count, at least {least:.2f}"
WORDS = re.compile(r"[^\W\d_]+(?:['’][^\W_]+)*")


def count(corpus: Path, most: int) -> list[tuple[str, int]]:
    """The most frequent n-grams of three letters and more, with how often there are at least so many."""
    counts: Counter[tuple[str, ...]] = Counter()
    for file in sorted(corpus.glob("*.txt")):
        for line in file.open(errors="replace"):
            words = WORDS.findall(line.lower())
            counts.update((word,) for word in words)
            counts.update(zip(words, words[1:], strict=False))
            counts.update(zip(words, words[1:], words[2:], strict=False))
            if len(counts) > HELD:
                counts = Counter({words: number for words, number in counts.items() if number > 1})
    found = [(" ".join(words), number) for words, number in counts.items() if number >= LEAST]
    return sorted((row for row in found if len(row[0]) > 2), key=lambda row: (-row[1], row[0]))[:most]


def embedded(counts: list[tuple[str, int]], like: Set) -> Set:
    """Texts by the demo's model."""
    encoder = load_encoder(EncoderSpec("demo", "fp32"), None)
    texts = [text for text, _ in counts]
    vectors = [encoder.encode_texts(texts[first : first + 256]) for first in range(0, len(texts), 256)]
    records = pa.table({"text": texts, "count": [number for _, number in counts]})
    return Set(like.manifest, records, np.concatenate(vectors))


def without_stop_words(texts: Set) -> Set:
    """Those that neither begin nor end with one, as --stop-words en leaves them."""
    stop = set(languages()["en"].split())
    ends = [text.split()[:: max(1, len(text.split()) - 1)] for text in texts.records["text"].to_pylist()]
    return texts.some(np.flatnonzero([not stop.intersection(words) for words in ends]))


def mean_average_precision(scores: np.ndarray, right: np.ndarray, kept: np.ndarray) -> float:
    """Of tags that are the nearest of the kept texts; right ones that were not kept are missed.

    Args:
        scores: float32 (pictures, texts).
        right: bool (pictures, texts).
        kept: places of texts.
    """
    found = kept[best(scores[:, kept])]
    hit = np.take_along_axis(right, found, 1)
    precision = np.cumsum(hit, axis=1) / np.arange(1, found.shape[1] + 1)
    true = np.minimum(right.sum(axis=1), DEEP)
    return float(((precision * hit).sum(axis=1)[true > 0] / true[true > 0]).mean())


def rankings(texts: Set, taught: np.ndarray, draw: np.random.Generator) -> dict[str, np.ndarray]:
    """Name -> a score for each text, the greater the better."""
    counts = np.array(texts.records["count"].to_pylist(), float)
    sample = np.sort(draw.permutation(len(texts.vectors))[:TEXTS])
    seen = View.of(taught, texts.vectors[sample], len(texts.vectors)).visibility(texts.vectors)
    nearest = -np.sort(-(taught @ texts.vectors.T), axis=0)[:10].mean(axis=0)
    ways = {"count": counts, "visibility": seen * np.sqrt(counts), "without the count's root": seen}
    return {**ways, "mean of its 10 best cosines": nearest, "by chance": draw.random(len(counts))}


def compare(name: str, texts: Set, pictures: Set, seeds: Sequence[int]) -> list[dict[str, object]]:
    """A row for each way to rank and number of kept n-grams."""
    right, found = right_tags(pictures, texts), dict[tuple[str, int], list[float]]()
    for seed in seeds:
        draw = np.random.default_rng(seed)
        taught, asked = np.array_split(draw.permutation(len(pictures.vectors)), 2)
        scores = pictures.vectors[asked] @ texts.vectors.T
        for way, ranking in rankings(texts, pictures.vectors[taught], draw).items():
            order = np.argsort(-ranking, kind="stable")
            for kept in (kept for kept in KEPT if kept < len(texts.vectors)):
                value = mean_average_precision(scores, right[asked], order[:kept])
                found.setdefault((way, kept), []).append(value)
    rows = list[dict[str, object]]()
    for (way, kept), values in found.items():
        times = np.array(values) / found["count", kept]
        gain = {"times": float(np.mean(values) / np.mean(found["count", kept])), "least": float(times.min())}
        rows.append({"texts": name, "ranked by": way, "kept": kept, "mAP": round(float(np.mean(values)), 4), **gain})
    for row in rows:
        print(LINE.format(**row), flush=True)
    return rows


def main() -> int:
    """Read, rank, tag, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, required=True, help="folder of clip-spark demo")
    parser.add_argument("--corpus", type=Path, help="folder of texts; none leaves them out")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--seed", type=int, action="append", default=[], help="of a draw of the halves; repeatable")
    parser.add_argument("--candidates", type=int, default=CANDIDATES, help="n-grams of the corpus, by count")
    options = parser.parse_args()
    pictures, own = (Set.read(str(options.demo / name)) for name in ("image-embeddings", "ngram-embeddings"))
    sets = {"the pictures' labels": own}
    if options.corpus:
        words = embedded(count(options.corpus, options.candidates), own)
        sets = {"dictionaries": words, "without stop words": without_stop_words(words), **sets}
    rows = [row for name, texts in sets.items() for row in compare(name, texts, pictures, options.seed or [0, 1])]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
