"""The tree of token sequences: every beginning once, every text at its own end."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from clip_spark.encoders.forward import BatchSize
from clip_spark.encoders.text_tower import mixed_by_sums, mixed_by_torch
from clip_spark.encoders.trie import build_trie, sorted_rows

SEQUENCES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=12)


@given(SEQUENCES)
def test_each_beginning_is_one_node(rows: list[list[int]]) -> None:
    table, order = sorted_rows(rows)
    trie = build_trie(table)
    beginnings = {tuple(row[: stop + 1]) for row in rows for stop in range(len(row))}
    found = [tuple(trie.tokens[node] for node in path) for level in trie.paths for path in level.tolist()]
    assert len(found) == len(trie.tokens) and set(found) == beginnings and len(set(found)) == len(found)
    flat = [path for level in trie.paths for path in level.tolist()]
    assert [path[-1] for path in flat] == list(range(len(flat)))  # nodes are numbered by depth
    for place, leaf in zip(order, trie.leaves, strict=True):
        assert found[leaf] == tuple(rows[place])


def test_batches_shrink_when_memory_runs_out_and_stay_small() -> None:
    size, asked = BatchSize(8), []

    def forward(start: int, stop: int) -> torch.Tensor:
        asked.append(stop - start)
        if stop - start > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return torch.arange(start, stop, dtype=torch.float32)[:, None]

    assert size.run(5, lambda start, size: start + size, forward).ravel().tolist() == [0, 1, 2, 3, 4]
    assert asked == [5, 4, 2, 2, 1] and size.size == 2
    size.request(0)
    assert size.size == 2  # remembered


def test_sums_are_attention() -> None:
    import torch

    torch.manual_seed(0)
    query, key, value = torch.randn(5, 2, 8), torch.randn(5, 3, 2, 8), torch.randn(5, 3, 2, 8)
    torch.testing.assert_close(mixed_by_sums(query, key, value), mixed_by_torch(query, key, value))
