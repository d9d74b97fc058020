"""*Driver.* The plots beside the report of count-ngrams: rank and frequency, and the growth of the vocabulary."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from clip_spark import storage

LOG = logging.getLogger(__name__)
RANK_FREQUENCY, GROWTH = FILES = "rank-frequency.png", "vocabulary-growth.png"
COLOURS = ("#1b6ca8", "#d1495b", "#edae49", "#3c8d5a", "#7a5195")
NAMES = {"1": "words", "2": "pairs", "3": "triples", "4": "n = 4", "5": "n = 5"}
INK, GRID = "#333333", "#dddddd"


def load_early() -> None:
    """*Driver.* Import matplotlib beside tasks that the driver waits for: a second that comes before any plot."""

    def load() -> None:
        with suppress(ImportError):  # `draw` says so
            import matplotlib.figure  # noqa: F401

    threading.Thread(target=load, name="plots", daemon=True).start()


def draw(output: str, report: Mapping[str, Any]) -> None:
    """*Driver.* Write the plots of a report (summary.of_counts) into the dataset; without matplotlib say so."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        LOG.info("plots are left out: matplotlib is missing; pip install 'clip-spark[plot]' brings it.")
        return
    if any(report["ranks"].values()):
        _save(_rank_frequency(report["ranks"]), storage.join(output, RANK_FREQUENCY))
    if len(report["growth"]) > 1:
        _save(_growth(report["growth"]), storage.join(output, GROWTH))


def _rank_frequency(ranks: Mapping[str, Any]) -> Any:
    """*Pure.* One line for each order: how often the n-gram of a rank occurs."""
    figure, axes = _axes("Frequency by rank", "rank", "occurrences")
    for (n, points), colour in zip(ranks.items(), COLOURS, strict=False):
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3, label=NAMES[n])
    axes.legend(frameon=False, labelcolor=INK)
    return figure


def _growth(points: Any) -> Any:
    """*Pure.* Different words in the first tokens of the corpus."""
    figure, axes = _axes("Growth of the vocabulary", "tokens read", "different words")
    axes.plot(*zip(*points, strict=True), color=COLOURS[0], marker="o", markersize=3)
    tokens, words = points[-1]
    axes.annotate(
        f"{words:,} words in {tokens:,} tokens",
        (tokens, words),
        xytext=(-8, 6),
        textcoords="offset points",
        ha="right",
        color=INK,
    )
    return figure


def _axes(title: str, x: str, y: str) -> tuple[Any, Any]:
    """*Pure.* Log-log axes with few lines; `Figure` itself, because pyplot would look for a display."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, NullLocator

    figure = Figure(figsize=(7, 4.5), dpi=120)
    axes = figure.add_axes((0.1, 0.12, 0.86, 0.79))  # fixed: a layout that fits itself draws everything twice
    axes.set(xscale="log", yscale="log")
    axes.margins(0.08)
    axes.set_title(title, loc="left", color=INK, fontweight="bold")
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(EngFormatter(sep=""))
        axis.set_minor_locator(NullLocator())
    axes.tick_params(color=GRID, labelcolor=INK)
    axes.grid(which="major", color=GRID, linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    return figure, axes


def _save(figure: Any, uri: str) -> None:
    sink = io.BytesIO()
    figure.savefig(sink, format="png")
    storage.write_bytes(uri, sink.getvalue())
