"""*Worker.* Where both passes get a split from: its work file, or the corpus; and the receipt that each split has.

A split's receipt holds what belongs to no shard of counts: lines, tokens, rejects. The task that reads the corpus
writes it, after the work file, under a number behind those of the shards; so totals and rejects are there once for
each split, however often a run was stopped and whichever shards were written by then.
"""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark import storage
from clip_spark.datasets.receipt import has_receipt, shard_name
from clip_spark.datasets.shards import ShardWriter
from clip_spark.texts.corpus import Split
from clip_spark.texts.ngrams.counting import code_split as coding
from clip_spark.texts.ngrams.counting.coded_split import Coded, read_coded, write_coded
from clip_spark.texts.specs import CountSpec

NumberedSplit = tuple[int, Split]


@dataclass(frozen=True)
class Source:
    """How workers get a coded split; picklable.

    Attributes:
        spec: what is counted.
        work: folder of the work files.
        output: the dataset.
        plan: fingerprint of the plan.
        shards: of counts; the receipts of splits are numbered from here on.
    """

    spec: CountSpec
    work: str
    output: str
    plan: str
    shards: int

    def read(self, item: NumberedSplit) -> Coded:
        """*Worker.* From the work file; from the corpus if that is damaged, missing, or of a task that was killed."""
        number, split = item
        place = storage.join(self.work, f"{shard_name(number)}.arrow")
        if has_receipt(self.output, self.shards + number) and (found := read_coded(place)):
            return found
        with ShardWriter(self.output, self.plan, self.shards + number, {}) as writer:
            with writer.watch("tokenise"):
                reading = coding.code_split(split, self.spec)
            write_coded(place, reading.coded)
            writer.counters.update(reading.sums)
            for reject in reading.rejects:
                writer.reject(*reject)
            writer.finish()
        return reading.coded
