"""*Server.* Times by stage for Prometheus, under the names that clip-retrieval's Grafana dashboard reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Histogram, generate_latest

STAGES = {
    "full_knn_request_time": "seconds for a whole search",
    "text_clip_inference_time": "seconds to encode a text",
    "image_prepro_time": "seconds to decode a picture",
    "image_clip_inference_time": "seconds to resize and encode a picture",
    "knn_index_time": "seconds to search the index",
    "metadata_get_time": "seconds to read records",
}
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Timings:
    """`with timings("knn_index_time"): ...`; each server has its own, so that tests do not share figures."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._stages = {
            name: Histogram(name, text, registry=self._registry, buckets=BUCKETS) for name, text in STAGES.items()
        }

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Note the seconds of the block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._stages[stage].observe(time.perf_counter() - start)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)
