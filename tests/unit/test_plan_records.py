"""Records cut into shards: every row once, in order, and each file looked at once."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from clip_spark.embed.record_slices import cut_slices
from clip_spark.embed.text_records import Slice


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 9))
def test_every_row_is_in_its_shard(rows: list[int], count: int) -> None:
    files = [(str(number), size) for number, size in enumerate(rows)]
    everything = [(uri, row) for uri, size in files for row in range(size)]
    bounds = [len(everything) * number // count for number in range(count + 1)]
    cuts = cut_slices([Slice(uri, 0, size) for uri, size in files], bounds)
    assert all(part.start < part.stop for cut in cuts for part in cut)
    found = [[(part.uri, row) for part in cut for row in range(part.start, part.stop)] for cut in cuts]
    assert found == [everything[start:stop] for start, stop in zip(bounds, bounds[1:], strict=False)]


def test_the_files_are_read_once_whatever_the_number_of_shards() -> None:
    seen: list[int] = []

    def files() -> Iterator[Slice]:
        for number in range(1_000):
            seen.append(number)
            yield Slice(str(number), 0, 6)

    cuts = cut_slices(files(), range(0, 6_001, 3))
    assert seen == list(range(1_000))
    assert len(cuts) == 2_000 and all(len(cut) == 1 for cut in cuts)
