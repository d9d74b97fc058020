"""*Server.* Times by stage for Prometheus, under the names that clip-retrieval's Grafana dashboard reads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from clip_spark.web.recall_watch import Figures

STAGES = {
    "full_knn_request_time": "seconds for a whole search",
    "text_clip_inference_time": "seconds to encode a text",
    "image_prepro_time": "seconds to decode a picture",
    "image_clip_inference_time": "seconds to resize and encode a picture",
    "download_time": "seconds to read a picture at a web address",
    "knn_index_time": "seconds to search the index",
    "metadata_get_time": "seconds to read records",
}
RECALL = {
    "checked": "real queries compared with all vectors, since this generation is served",
    "recall": "share of the true best hits that the latest of these found",
    "expected": "the same as the build measured it",
    "drift": "recall, less that of all checks before the latest",
    "low": "1 where recall is less than expected, or than before, beyond chance",
}
WHOLE = "full_knn_request_time"
PATHS = (
    "/card",
    *("/", "/config.json", "/health", "/indices", "/indices-list", "/knn-service", "/maps", "/metadata", "/metrics"),
    *("/metrics-summary", "/openapi.json", "/picture", "/query", "/ready", "/sample", "/search", "/static", "/token"),
)
"""Paths, or their beginnings, that requests are counted by; anything else is `other`, so that nobody makes new ones."""
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Timings:
    """`with timings("knn_index_time"): ...`; each server has its own, so that tests do not share figures."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._stages = {
            name: Histogram(name, text, registry=self._registry, buckets=BUCKETS) for name, text in STAGES.items()
        }

        self._requests = Counter(
            "clip_spark_requests", "requests by path and status", ["path", "status"], registry=self._registry
        )
        self._running = Gauge("clip_spark_requests_running", "requests being answered", registry=self._registry)
        self._recall = {
            name: Gauge(f"clip_spark_recall_{name}", text, ["index"], registry=self._registry)
            for name, text in RECALL.items()
        }

    def began(self) -> None:
        """A request has come."""
        self._running.inc()

    def ended(self, path: str, status: int) -> None:
        """It was answered; status 0 is an answer that the client did not wait for."""
        self._running.dec()
        self._requests.labels(counted_path(path), str(status)).inc()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Note the seconds of the block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._stages[stage].observe(time.perf_counter() - start)

    def text(self, watched: Mapping[str, Figures | None]) -> bytes:
        """All figures in Prometheus' text format, with what is known of the recall of each index."""
        for name, gauge in self._recall.items():
            gauge.clear()
            for index, figures in watched.items():
                if figures is not None:
                    gauge.labels(index).set(getattr(figures, name))
        return generate_latest(self._registry)

    def averages(self) -> dict[str, tuple[int, float]]:
        """How often each stage was gone through, and its mean seconds."""
        found = {}
        for name, histogram in self._stages.items():
            values = {sample.name: sample.value for sample in next(iter(histogram.collect())).samples}
            count = int(values[f"{name}_count"])
            found[name] = count, values[f"{name}_sum"] / count if count else 0.0
        return found

    def summary(self) -> str:
        """The same for people, in the words of clip-retrieval's page: stages by their mean, the slowest first."""
        averages = self.averages()
        count, whole = averages.pop(WHOLE)
        if not count:
            return "No request yet, go do some"
        rows = sorted(averages.items(), key=lambda row: -row[1][1])
        lines = [
            f"{name:28}{calls:8}{mean:11.4f}s{100 * mean / whole:8.1f}%  {STAGES[name]}" for name, (calls, mean) in rows
        ]
        return "\n".join(
            [
                f"Among {count} calls to the knn end point with an average latency of {whole:0.4f}s per request, "
                "the step costs are (in order):",
                "",
                f"{'name':28}{'calls':>8}{'average':>12}{'of all':>9}  description",
                *lines,
            ]
        )


def counted_path(path: str) -> str:
    """*Pure.* The label of a path in the figures."""
    first = "/" + path.lstrip("/").partition("/")[0]
    return first if first in PATHS else "other"
