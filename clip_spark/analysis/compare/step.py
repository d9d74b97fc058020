"""*Driver.* compare-models: a sample, decoded once, through every model; in this process, without Spark.

The sample is bounded, each text meets each picture, and the milliseconds of a model mean something only where nothing
else computes: one process does all that better than a cluster.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from clip_spark.analysis.compare.figures import FIRST, Found, chances, find, margin, numbered
from clip_spark.analysis.compare.sample import Sample, read_sample
from clip_spark.analysis.compare.spec import CompareSpec
from clip_spark.datasets.tables import Table
from clip_spark.embed.picture_stream import counted_warnings
from clip_spark.encoders import check_model, load_encoder
from clip_spark.encoders.protocol import Encoder
from clip_spark.errors import InputError, Rejected
from clip_spark.pictures.decode import open_picture
from clip_spark.pictures.find import find_pictures
from clip_spark.runtime.devices import pick_device

TO_PICTURE, TO_TEXT = "text -> picture", "picture -> text"
MILLION = 1e6


@dataclass(frozen=True)
class Compared:
    """What came of a comparison.

    Attributes:
        sample: what was looked at.
        texts: each text once.
        text_of: int64 (pictures,), the text of each picture.
        found: (text -> picture, picture -> text) of each model.
        figures: of each model, ready for JSON.
    """

    sample: Sample
    texts: list[str]
    text_of: np.ndarray
    found: dict[str, tuple[Found, Found]]
    figures: list[dict[str, Any]]


@dataclass
class Clock:
    """Seconds of one model by what it did, without its first batch, in which libraries warm up."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    rows: Counter[str] = field(default_factory=Counter)

    def timed(self, name: str, rows: int, work: Callable[[], Any]) -> Any:
        """What `work` gives, its time noted."""
        began = time.perf_counter()
        made = work()
        self.seconds[name] += time.perf_counter() - began
        self.rows[name] += rows
        return made

    def per_row(self, name: str) -> float:
        """Milliseconds of one row."""
        return 1000 * self.seconds[name] / max(self.rows[name], 1)


def compare_models(spec: CompareSpec, prices: Mapping[str, Any]) -> Compared:
    """*Driver.* Choose the sample, encode it with every model, and measure.

    Args:
        spec: what to compare.
        prices: `price_per_gpu_hour` and `price_per_core_hour`, in USD.

    Raises:
        InputError: fewer than two pictures have a text.
        ModelError: a model does not exist.
    """
    for model in spec.model:
        check_model(model, spec.precision)
    sample = read_sample(find_pictures(spec.images, spec.image_column), spec)
    _check(sample, spec)
    encoders = {each.model: load_encoder(each) for each in spec.encoders}
    clocks: dict[str, Clock] = defaultdict(Clock)
    with counted_warnings(sample.left_out):
        sample, pictures = encode_pictures(sample, encoders, clocks, spec)
    _check(sample, spec)
    texts, text_of = numbered(sample.texts)
    found, figures = {}, []
    for model, encoder in encoders.items():
        encoder.encode_texts(texts[:1])
        vectors = clocks[model].timed("text", len(texts), partial(encoder.encode_texts, texts))
        own = np.arange(len(texts))
        both = find(vectors, pictures[model], own, text_of), find(pictures[model], vectors, text_of, own)
        found[model] = both
        unrelated = chances(vectors, pictures[model], text_of, spec.seed)
        figures.append({**figures_of(encoder, both), **unrelated, **costs(encoder, clocks[model], prices)})
    return Compared(sample, texts, text_of, found, figures)


def _check(sample: Sample, spec: CompareSpec) -> None:
    if len(sample.texts) < 2 or len(set(sample.texts)) < 2:
        why = "; ".join(f"{count:,} {reason}" for reason, count in sample.left_out.most_common(4)) or "no pictures"
        raise InputError(
            f"Fewer than two pictures with different texts were found by --text {spec.text} ({why}); "
            "give caption, stem, or a key of the metadata beside the pictures."
        )


def encode_pictures(
    sample: Sample, encoders: Mapping[str, Encoder], clocks: Mapping[str, Clock], spec: CompareSpec
) -> tuple[Sample, dict[str, np.ndarray]]:
    """*Driver.* Vectors of all pictures by model, float32 (n, d); each picture is decoded once.

    What cannot be decoded leaves the sample, and is counted.
    """
    usable: list[int] = []
    waiting: dict[str, list[np.ndarray]] = {model: [] for model in encoders}
    parts: dict[str, list[np.ndarray]] = {model: [] for model in encoders}

    def encode(model: str) -> None:
        pixels, encoder = np.stack(waiting[model]), encoders[model]
        waiting[model].clear()
        if not parts[model]:
            encoder.encode_pixels(pixels[:1])
        parts[model].append(clocks[model].timed("forward", len(pixels), partial(encoder.encode_pixels, pixels)))

    for row, picture in enumerate(_decoded(sample, spec)):
        if picture is None:
            continue
        usable.append(row)
        for model, encoder in encoders.items():
            prepared = clocks[model].timed("prepare", 1, partial(encoder.prepare, picture))
            waiting[model].append(prepared.values)
            if len(waiting[model]) >= encoder.stats().pictures_per_pass:
                encode(model)
    for model in encoders:
        if waiting[model]:
            encode(model)
    kept = Sample([sample.pictures[row] for row in usable], [sample.texts[row] for row in usable], sample.left_out)
    return kept, {model: np.concatenate(found) for model, found in parts.items() if found}


def _decoded(sample: Sample, spec: CompareSpec) -> Iterator[Any]:
    """Each picture of the sample, PIL, or None where it cannot be decoded."""
    for picture in sample.pictures:
        try:
            yield open_picture(picture.data, spec.look)
        except Rejected as error:
            sample.left_out[error.reason] += 1
            yield None


def figures_of(encoder: Encoder, both: tuple[Found, Found]) -> dict[str, Any]:
    """*Pure.* Recalls and hubs of a model."""
    figures: dict[str, Any] = {"model": encoder.info()["model"], "precision": encoder.info()["precision"]}
    for way, found in zip((TO_PICTURE, TO_TEXT), both, strict=True):
        figures |= {f"{way} R@{k}": round(found.recall[k], 4) for k in FIRST}
        figures[f"{way} R@1 margin"] = round(margin(found.recall[1], len(found.first)), 4)
        figures[f"{way} greatest hub"] = round(found.hub, 4)
    return figures


def costs(encoder: Encoder, clock: Clock, prices: Mapping[str, Any]) -> dict[str, Any]:
    """*Driver.* Milliseconds, bytes of a vector, and USD for a million of each, on what it ran on here.

    A CPU's time is that of all cores that this process may use; a GPU's is that of one.
    """
    from clip_spark.runtime.devices import CPU

    device, picture = pick_device(), clock.per_row("prepare") + clock.per_row("forward")
    hour = prices["price_per_core_hour"] * threads() if device == CPU else prices["price_per_gpu_hour"]
    dollars = MILLION / 3.6e6 * hour  # of one millisecond a row
    return {
        "device": device,
        "ms per picture": round(picture, 3),
        "ms of it in the model": round(clock.per_row("forward"), 3),
        "ms per text": round(clock.per_row("text"), 3),
        "bytes per vector": 4 * encoder.info()["dim"],
        "USD per million pictures": round(picture * dollars, 3),
        "USD per million texts": round(clock.per_row("text") * dollars, 3),
    }


def threads() -> int:
    """*Driver.* How many cores torch computes with here."""
    import torch

    return int(torch.get_num_threads())


def compared_tables(found: Compared) -> list[Table]:
    """*Pure.* The figures as tables for a terminal: one of answers, one of costs."""
    names = ("R@1", "R@5", "R@10", "greatest hub")
    answers = [
        (each["model"], way, *(each[f"{way} {name}"] for name in names), each[f"{way} R@1 margin"])
        for way in (TO_PICTURE, TO_TEXT)
        for each in found.figures
    ]
    scores = [name for name in found.figures[0] if "cosine" in name or name == "median chance"]
    money = ("ms per picture", "ms per text", "bytes per vector", "USD per million pictures", "USD per million texts")
    count = f"{len(found.sample.texts):,} pictures, {len(found.texts):,} texts"
    return [
        Table(f"answers: {count}", ("model", "query", *names, "R@1 ±"), answers),
        Table("scores", ("model", *scores), [_row(each, scores) for each in found.figures]),
        Table("costs", ("model", "device", *money), [_row(each, ("device", *money)) for each in found.figures]),
    ]


def _row(figures: Mapping[str, Any], names: Any) -> tuple[Any, ...]:
    """*Pure.* The model and some of its figures."""
    values = (figures[name] for name in names)
    return (figures["model"], *(round(value, 4) if isinstance(value, float) else value for value in values))
