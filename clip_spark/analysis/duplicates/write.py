"""*Worker.* The rows of each shard of groups, in the order of its records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from clip_spark.analysis.duplicates.gather import Others, Rows, record_ids
from clip_spark.analysis.duplicates.shards import Shard, ShardSet
from clip_spark.datasets import schema
from clip_spark.datasets.receipt import has_receipt
from clip_spark.datasets.shards import ShardWriter

DUPLICATES = "duplicates"


@dataclass(frozen=True)
class WriteGroups:
    """*Worker.* Writes the shards of a task that are not there yet; picklable."""

    output: str
    plan: str
    dim: int
    shards: ShardSet

    def __call__(self, task: int, parts: Iterable[tuple[int, Rows | Others]]) -> Iterator[int]:
        """Gives the numbers of the shards."""
        found = [one for _, one in parts]
        for shard in self.shards.shards[task :: self.shards.tasks]:
            if not has_receipt(self.output, shard.number):
                table = self._table(shard, found)
                with ShardWriter(self.output, self.plan, shard.number, {DUPLICATES: schema.DUPLICATES}) as writer:
                    writer.write(DUPLICATES, table)
                    writer.counters["groups"] += sum(table["keep"].to_pylist())
                    writer.finish()
            yield shard.number

    def _table(self, shard: Shard, found: list[Rows | Others]) -> pa.Table:
        parts = [one for part in found if len((one := self._inside(shard, part)).positions)]
        if not parts:
            return schema.DUPLICATES.empty_table()
        positions, groups, sizes, kept, cosines = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("positions", "groups", "sizes", "kept", "cosines")
        )
        order = np.argsort(positions)
        ids = record_ids(shard.embeddings, positions[order] - shard.start)
        columns = [ids, groups[order], (kept == positions)[order], np.minimum(cosines[order], 1), sizes[order]]
        return pa.table([pa.array(column) for column in columns], names=schema.DUPLICATES.names).cast(schema.DUPLICATES)

    def _inside(self, shard: Shard, part: Rows | Others) -> Rows:
        """What of some rows lies in a shard."""
        mine = (part.positions >= shard.start) & (part.positions < shard.start + shard.rows)
        at = part.positions[mine]
        if isinstance(part, Rows):
            return Rows(at, part.groups[mine], part.sizes[mine], part.kept[mine], part.cosines[mine])
        cosines = shard.reader(self.dim).take(at) @ part.vector if len(at) else np.empty(0, np.float32)
        groups = np.full(len(at), part.group, object)
        return Rows(at, groups, np.full(len(at), part.size), np.full(len(at), part.kept), cosines)
