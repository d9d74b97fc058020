"""How good answers are with and without the correction for hubs, on what `clip-spark demo` has left in a folder.

python scripts/bench_answers.py --demo demo-out [--json answers.json]

Half of the pictures teach, the other half is asked; a tag is right if it is part of the picture's name or keywords.
docs/answers.md has the summary.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from demo_queries import EVERYDAY

from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import embedding_table
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.spec import Spec, option
from clip_spark.index.build.build import build_index
from clip_spark.index.build.penalties import mean_of_nearest
from clip_spark.index.build.read_vectors import VectorReader, dataset_files
from clip_spark.index.open.meaning import relative
from clip_spark.index.specs import IndexSpec
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher

SEED, DEEP, SHOWN = 0, 200, 20
WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
LISTED = Wanted(k=DEEP)
ABSTRACT = """
mortgage quarterly derivative tax clause bureaucracy ontology syntax amortised hypotenuse electron jurisprudence
inflation regression theorem warranty pagination subsidy invoice compiler tariff logarithm firmware epistemology
polynomial liability audit dividend enzyme hydrolysis covenant allele isotope plaintiff metaphysics bandwidth
gradient tensor hegemony liquidity
""".split()  # noqa: SIM905
OTHER = """
recession annuity bylaw mandate jurisdiction ligand isomer neuron genome plasmid quark boson lepton vector scalar
determinant modulus integrand syllogism dialectic solipsism deontology morpheme gerund clitic allophone malloc mutex
socket daemon checksum hash opcode bytecode yield hedge tranche swap lien deed
""".split()  # noqa: SIM905
"""Words that nothing was settled on."""


@dataclass(frozen=True)
class Set:
    """A set of embeddings: its manifest, records, and vectors, float32 (n, d)."""

    manifest: Manifest
    records: pa.Table
    vectors: np.ndarray

    @staticmethod
    def read(uri: str) -> Set:
        """All of it."""
        manifest = read_manifest(uri, "embeddings")
        reader = VectorReader(dataset_files(manifest, "embeddings"), manifest.extra["dim"])
        records = pa.concat_tables([pq.read_table(file) for file in manifest.files("records")])
        return Set(manifest, records, np.concatenate([rows for _, rows in reader.blocks()]))

    def some(self, rows: np.ndarray) -> Set:
        """Some of its rows."""
        return Set(self.manifest, self.records.take(pa.array(rows)), self.vectors[rows])

    def write(self, output: Path) -> str:
        """The same as a dataset of one shard."""
        kept = [name for name in ("record_id", "text", "uri", "caption") if name in self.records.column_names]
        records = self.records.select(kept)
        plan = Plan.of("embeddings", HalfSpec(output=str(output), rows=len(records)), {}, 1)
        run = begin_run(str(output), plan, overwrite=False)
        folders = {"embeddings": schema.EMBEDDINGS, "records": records.schema}
        with ShardWriter(run.output, plan.fingerprint, 0, folders) as writer:
            writer.write("embeddings", embedding_table(records["record_id"].to_pylist(), self.vectors))
            writer.write("records", records)
            writer.finish()
        run.commit(self.manifest.extra)
        return str(output)


@dataclass(frozen=True, kw_only=True)
class HalfSpec(Spec):
    """A part of a set."""

    rows: int = option("rows", 0)


def words_of(text: str) -> list[str]:
    """*Pure.* The n-grams of a text up to three words."""
    words = WORDS.findall(text.lower())
    return [" ".join(words[at : at + n]) for n in (1, 2, 3) for at in range(len(words) - n + 1)]


def right_tags(pictures: Set, texts: Set) -> np.ndarray:
    """*Pure.* Which texts are part of a picture's name or keywords, bool (pictures, texts)."""
    at = {text.lower(): row for row, text in enumerate(texts.records["text"].to_pylist())}
    right = np.zeros((len(pictures.vectors), len(texts.vectors)), bool)
    columns = (pictures.records[name].to_pylist() for name in ("caption", "metadata"))
    for row, (name, metadata) in enumerate(zip(*columns, strict=True)):
        for part in [name, *json.loads(metadata).get("keywords", "").split(",")]:
            right[row, [at[words] for words in words_of(part) if words in at]] = True
    return right


def figures(found: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """*Pure.* How good lists of tags are.

    Args:
        found: texts by picture, best first, int64 (n, DEEP).
        right: bool (n, texts).
    """
    hit = np.take_along_axis(right, found, 1)
    has = right.any(axis=1)
    precision = np.cumsum(hit, axis=1) / np.arange(1, found.shape[1] + 1)
    average = (precision * hit).sum(axis=1)[has] / np.minimum(right.sum(axis=1), found.shape[1])[has]
    most = np.bincount(found[:, :10].ravel()).max() / len(found)
    values = {"P@1": hit[has, 0].mean(), "P@5": hit[has, :5].mean(), "mAP": average.mean(), "greatest hub": most}
    return {name: round(float(value), 4) for name, value in values.items()}


def no_spark() -> Any:
    """Exact indices need none."""
    raise RuntimeError("this index is too large for the benchmark")


def built(folder: Path, items: Set, queries: Set, name: str) -> Searcher:
    """An index of some items, taught by some queries."""
    paths = [part.write(folder / f"{name}-{what}") for part, what in ((items, "items"), (queries, "queries"))]
    output = str(folder / f"{name}-index")
    build_index(no_spark, IndexSpec(embeddings=(paths[0],), queries=paths[1], output=output, index_key="Flat"))
    return Searcher.open(output)


def best(scores: np.ndarray) -> np.ndarray:
    """*Pure.* The DEEP best columns of each row."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :DEEP]


def ways_that_lose(asked: np.ndarray, texts: np.ndarray, taught: np.ndarray) -> Mapping[str, np.ndarray]:
    """*Pure.* Tags by what else is done against hubs, each int64 (n, DEEP); all arguments are unit vectors."""
    scores, known = asked @ texts.T, taught @ texts.T
    mean, centre = known.mean(axis=0), (taught.mean(axis=0), texts.mean(axis=0))
    centred = [rows - middle for rows, middle in zip((asked, texts), centre, strict=True)]
    centred = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in centred]
    return {
        "centred": best(centred[0] @ centred[1].T),
        "minus the text's mean": best(scores - mean),
        "z-score of the text": best((scores - mean) / known.std(axis=0)),
        "0.75 of the mean over 128 (NNN's default)": best(scores - 0.75 * mean_of_nearest(texts, taught, 128)),
    }


def tags(folder: Path, pictures: Set, texts: Set) -> list[dict[str, Any]]:
    """Tags of pictures that taught nothing, in several ways."""
    order = np.random.default_rng(SEED).permutation(len(pictures.vectors))
    half = len(order) // 2
    taught, asked = pictures.some(order[:half]), pictures.some(order[half:])
    right = right_tags(asked, texts)
    searcher = built(folder, texts, taught, "tags")
    learnt = searcher.info.calibration
    ours = f"clip-spark (strength {learnt.strength:g}, nearest {learnt.nearest})" if learnt else "none"
    found = {
        "cosine": searcher.search_positions(asked.vectors, LISTED)[1],
        ours: searcher.search_positions(asked.vectors, LISTED, kind="image")[1],
        **ways_that_lose(asked.vectors, texts.vectors, taught.vectors),
    }
    return [{"tags by": name, **figures(listed, right)} for name, listed in found.items()]


def pictures_by_name(folder: Path, pictures: Set, texts: Set) -> list[dict[str, Any]]:
    """Half of the pictures' names find their pictures among all; n-grams that are no names taught, or other names."""
    names = pictures.records["caption"].to_pylist()
    known = {name.lower() for name in names}
    others = np.flatnonzero([text.lower() not in known for text in texts.records["text"].to_pylist()])
    by_ngrams = built(folder, pictures, texts.some(others), "by-ngrams")
    vectors = np.stack([by_ngrams.embed_text(name) for name in names])
    order = np.random.default_rng(SEED).permutation(len(names))
    taught, asked = order[: len(names) // 2], order[len(names) // 2 :]
    records = pa.table({"record_id": [f"{row:032x}" for row in taught], "text": [names[row] for row in taught]})
    by_names = built(folder, pictures, Set(texts.manifest, records, vectors[taught]), "by-names")
    rows = []
    for way, searcher, kind in (
        ("cosine", by_ngrams, ""),
        ("taught by n-grams", by_ngrams, "text"),
        ("taught by names", by_names, "text"),
    ):
        found = searcher.search_positions(vectors[asked], Wanted(k=5), kind=kind)[1]
        same = found == asked[:, None]
        rates = {f"R@{k}": round(float(same[:, :k].any(axis=1).mean()), 4) for k in (1, 5)}
        learnt = searcher.info.calibration
        rows.append({"pictures by name": way, **rates, "strength": learnt.strength if kind and learnt else 0})
    return rows


def made_hub(pictures: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """*Pure.* A text that is made to be among the first ten of as many pictures as can be, float32 (d,)."""
    line = np.sort(pictures @ texts.T, axis=1)[:, -10]
    hub = pictures.mean(axis=0)
    for _ in range(300):
        hub /= np.linalg.norm(hub)
        missed = 1 / (1 + np.exp((pictures @ hub - line) / 0.05))
        hub = hub + 0.25 * (missed[:, None] * pictures).mean(axis=0)
    return np.asarray(hub / np.linalg.norm(hub), np.float32)


def attack(folder: Path, pictures: Set, texts: Set) -> list[dict[str, Any]]:
    """A made hub among the texts: how many pictures have it among their first ten, and which honest tags are lost."""
    order = np.random.default_rng(SEED).permutation(len(pictures.vectors))
    half = len(order) // 2
    taught, asked = pictures.some(order[:half]), pictures.vectors[order[half:]]
    hub = made_hub(taught.vectors, texts.vectors)
    row = pa.table(
        {**{name: [None] for name in texts.records.column_names}, "record_id": ["0" * 32], "text": ["a hub"]}
    )
    records = pa.concat_tables([texts.records, row.cast(texts.records.schema)])
    searcher = built(folder, Set(texts.manifest, records, np.vstack([texts.vectors, hub])), taught, "attack")
    own, ten = len(texts.vectors), Wanted(k=10)
    honest = best(asked @ texts.vectors.T)[:, :10]
    rows = []
    for way, kind, wanted in (
        ("cosine", "", ten),
        ("corrected", "image", ten),
        ("cosine, quarantined", "", Wanted(k=10, quarantine_hubs=True)),
        ("corrected, quarantined", "image", Wanted(k=10, quarantine_hubs=True)),
    ):
        found = searcher.search_positions(asked, wanted, kind=kind)[1]
        lost = 1 - np.mean([np.isin(one, two).mean() for one, two in zip(honest, found, strict=True)])
        share = float((found == own).any(axis=1).mean())
        told = {} if kind else {"honest tags lost": round(float(lost), 4)}
        rows.append({"made hub": way, "in the first ten of": round(share, 4), **told})
    return rows


def one_cutoff(folder: Path, pictures: Set, texts: Set) -> list[dict[str, Any]]:
    """One cut-off for all texts as queries: how well scores of different queries compare, over all pairs."""
    asked = pictures.some(np.random.default_rng(SEED).permutation(len(pictures.vectors))[len(pictures.vectors) // 2 :])
    searcher = built(folder, asked, texts, "cutoff")
    right, every = right_tags(asked, texts).T, Wanted(k=len(asked.vectors))
    rows = []
    for way, kind in (("cosine", ""), ("chance", "text")):
        found = searcher.search_ranked(texts.vectors, every, kind=kind)
        known = searcher.chances(found, every, kind)
        values = found.scores if known is None else relative(found.scores, found.best)
        hit = np.take_along_axis(right, found.positions, 1).ravel()[np.argsort(-values.ravel(), kind="stable")]
        precision, recall = np.cumsum(hit) / np.arange(1, len(hit) + 1), np.cumsum(hit) / hit.sum()
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
        figures = {"micro-AP": float((precision * hit).sum() / hit.sum()), "best F1": float(f1.max())}
        rows.append({"one cut-off by": way, **{name: round(value, 4) for name, value in figures.items()}})
    return rows


def nonsense(count: int, words: Sequence[str], seed: int) -> list[str]:
    """*Pure.* Texts about nothing that emoji show: half are letters, half are words of law, finance and mathematics."""
    random = np.random.default_rng(seed)
    letters = list("bcdfghjklmnpqrstvwxz aeiou")
    made = ["".join(random.choice(letters, random.integers(4, 15))).strip() or "zq" for _ in range(count // 2)]
    return made + [" ".join(random.choice(words, random.integers(1, 4))) for _ in range(count - len(made))]


def relevance(folder: Path, pictures: Set, texts: Set) -> list[dict[str, Any]]:
    """What --relevant cuts: nonsense that still returns something, and right hits of true queries that are lost.

    Half of the texts have taught; the true queries are those of the other half that are right for some picture. Beside
    them phrases that nobody has taught, and pictures that ask for texts, taught by the other half of the pictures.
    """
    order = np.random.default_rng(SEED).permutation(len(texts.vectors))
    taught, asked = order[: len(order) // 2], order[len(order) // 2 :]
    searcher = built(folder, pictures, texts.some(taught), "relevance")
    right = right_tags(pictures, texts).T[asked]
    true, right = texts.vectors[asked][right.any(axis=1)], right[right.any(axis=1)]
    typed = {
        "nonsense": nonsense(500, ABSTRACT, 0),
        "other nonsense": nonsense(500, OTHER, 11),
        "everyday queries": list(EVERYDAY),
    }
    shown = {f"{what} answered": np.stack([searcher.embed_text(text) for text in some]) for what, some in typed.items()}
    halves = np.random.default_rng(SEED).permutation(len(pictures.vectors))
    learning, asking = (pictures.some(half) for half in np.array_split(halves, 2))
    of_texts, right_texts = built(folder, texts, learning, "relevance-of-tags"), right_tags(asking, texts)
    rows = []
    for level in (0.5, 0.8, 0.9, 0.95):
        wanted = Wanted(k=10, relevant=level)
        answered = {
            what: (searcher.search_positions(some, wanted, kind="text")[1] >= 0).any(axis=1).mean()
            for what, some in shown.items()
        }
        lost = {
            "right hits lost": lost_hits(searcher, true, right, wanted, "text"),
            "right tags of pictures lost": lost_hits(of_texts, asking.vectors, right_texts, wanted, "image"),
        }
        figures = {name: round(float(value), 4) for name, value in (answered | lost).items()}
        rows.append({"--relevant": level, **figures})
    return rows


def lost_hits(searcher: Searcher, queries: np.ndarray, right: np.ndarray, wanted: Wanted, kind: str) -> float:
    """The share of the right ones (bool (n, items)) among first hits that are not among those wanted."""
    whole = searcher.search_positions(queries, replace(wanted, relevant=0.0), kind=kind)[1]
    kept = searcher.search_positions(queries, wanted, kind=kind)[1]
    left = np.take_along_axis(right, np.maximum(kept, 0), 1) & (kept >= 0)
    return float(1 - left.sum() / np.take_along_axis(right, whole, 1).sum())


def shown(rows: list[dict[str, Any]]) -> str:
    """*Pure.* Rows as a table of Markdown."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns), *([str(row.get(name, "")) for name in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def asked_without(scores: np.ndarray, right: np.ndarray) -> np.ndarray:
    """*Pure.* (A, B): texts such that "A without B" makes sense, int64 (m, 2), in a seeded order.

    Half of the first 20 pictures for A show A, two or more of them B too, and ten of the set A alone; three of the
    first five for B show B.

    Args:
        scores: cosines, float32 (texts, pictures).
        right: which pictures show which text, bool (pictures, texts).
    """
    first = np.argsort(-scores, axis=1, kind="stable")[:, :SHOWN]
    shows = [right[rows] for rows in first]
    together = right.T.astype(np.float32) @ right.astype(np.float32)
    counts = np.diag(together)
    good = np.array([found[:, text].mean() >= 0.5 for text, found in enumerate(shows)])
    known = np.array([found[:5, text].mean() >= 0.6 for text, found in enumerate(shows)]) & (counts >= 5)
    pairs = [
        (a, b)
        for a in np.flatnonzero(good & (counts >= 15))
        for b in np.flatnonzero(known & (together[a] >= 3) & (counts[a] - together[a] >= 10))
        if a != b and shows[a][:, b].sum() >= 2
    ]
    return np.random.default_rng(SEED).permutation(np.array(pairs, np.int64).reshape(-1, 2))


def without(folder: Path, pictures: Set, texts: Set) -> list[dict[str, Any]]:
    """Pictures for "A without B": how many of the first 20 show B, and how many of A's that do not are kept."""
    right = right_tags(pictures, texts)
    pairs = asked_without(texts.vectors @ pictures.vectors.T, right)
    output = str(folder / "without-index")
    embeddings = pictures.write(folder / "without-items")
    build_index(no_spark, IndexSpec(embeddings=(embeddings,), output=output, index_key="Flat"))
    searcher, rows = Searcher.open(output), list[dict[str, Any]]()
    a, b = texts.vectors[pairs[:, 0]], texts.vectors[pairs[:, 1]]
    alike, wanted = (a * b).sum(axis=1), Wanted(k=SHOWN)
    plain = searcher.search_positions(a, wanted)[1]
    ways = {f"minus {weight:g} times B": unit(a - weight * b) for weight in (0.1, 0.25, 0.5, 1.0)}
    ways["A's part across B"] = unit(a - alike[:, None] * b)
    found = {"A alone": plain, **{name: searcher.search_positions(query, wanted)[1] for name, query in ways.items()}}
    for line in (0.4, 0.45):
        near = [
            [row for row in best_of if pictures.vectors[row] @ two < line]
            for best_of, two in zip(plain, b, strict=True)
        ]
        found[f"A's 20 but for cosines of {line:g} with B"] = np.array([[*one, *[-1] * SHOWN][:SHOWN] for one in near])
    for weight in (0.9, 1.0, 1.5, 2.0):
        name = "clip-spark" if weight == 1 else f"clip-spark, B weighs {weight:g}"
        found[name] = searcher.search_positions(a, wanted, less=list(weight * b[:, None]))[1]
    learnt, different = np.arange(len(pairs)) < len(pairs) // 2, alike < 0.5
    for which, some in (
        ("pairs it was settled on", learnt),
        ("other pairs", ~learnt),
        ("of all, cosine < 0.5", different),
    ):
        for name, listed in found.items():
            parts = [_of_pair(plain[at], listed[at], right[:, pairs[at, 1]]) for at in np.flatnonzero(some)]
            forbidden, kept = np.mean(parts, axis=0)
            rows.append(
                {
                    "A without B": name,
                    "pairs": f"{which} ({some.sum()})",
                    "B in the first 20": round(float(forbidden), 4),
                    "others kept": round(float(kept), 4),
                }
            )
    return rows


def _of_pair(plain: np.ndarray, found: np.ndarray, shows: np.ndarray) -> tuple[float, float]:
    """*Pure.* The share of what was found that shows B; and of A's hits that do not, how many were found."""
    there = found[found >= 0]
    others = plain[~shows[plain]]
    return float(shows[there].mean()) if len(there) else 0.0, float(np.isin(others, there).mean()) if len(
        others
    ) else 1.0


def unit(vectors: np.ndarray) -> np.ndarray:
    """*Pure.* The same of length 1, float32."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


MEASURES = (tags, pictures_by_name, attack, one_cutoff, relevance, without)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", required=True, help="folder of a finished `clip-spark demo`")
    parser.add_argument("--json", default="", help="also write the figures here")
    given = parser.parse_args()
    pictures, texts = (Set.read(f"{given.demo}/{name}-embeddings") for name in ("image", "ngram"))
    with tempfile.TemporaryDirectory() as folder:
        tables = [measure(Path(folder), pictures, texts) for measure in MEASURES]
    print("\n\n".join(map(shown, tables)))
    if given.json:
        Path(given.json).write_text(json.dumps(tables, indent=1))


if __name__ == "__main__":
    main()
