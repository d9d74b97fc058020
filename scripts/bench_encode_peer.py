"""One run of clip-retrieval 2.45 for `bench_encode.py`, in its own environment: it needs older versions than ours.

python3.11 -m venv peer && peer/bin/pip install 'setuptools<80' clip-retrieval==2.45.0

Give it at least as many tars as readers (`num_prepro_workers`): a reader without a tar raises, and then the process
waits for its own log process for ever. Before its first batch it computes 128 pictures and 128 texts to warm up, and
starts processes that import torch for its readers and its log. None of that is timed.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

BATCH = 64
STARTING = 2
"""The first batches are not timed: they compete with helper processes that are still importing."""
AHEAD = 4
"""Nor are the last: two readers work two batches ahead each, so these are decoded before they are timed."""


def main() -> None:
    """Arguments: image|text, tar, output folder, weights, threads. The last line printed is the result as JSON."""
    modality, tar, output, weights, threads = sys.argv[1:]
    import all_clip.main
    import torch
    from clip_retrieval.clip_inference import main as inference

    torch.set_num_threads(int(threads))
    warmup = all_clip.main.warmup
    all_clip.main.warmup = lambda batch_size, *others: warmup(2, *others)  # as warm, and a minute sooner
    ends = stamp_batches()
    inference.main(
        input_dataset=tar,
        output_folder=output,
        input_format="webdataset",
        batch_size=BATCH,
        num_prepro_workers=int(threads),
        enable_image=modality == "image",
        enable_text=modality == "text",
        enable_metadata=False,
        enable_wandb=False,
        distribution_strategy="sequential",
        clip_model=f"open_clip:ViT-B-32/{weights}",
    )
    timed = ends[STARTING - 1 : -AHEAD]
    samples = sum(count for _, _, count in timed[1:])
    seconds, cpu_seconds = (timed[-1][place] - timed[0][place] for place in (0, 1))
    print("\nRESULT " + json.dumps({"samples": samples, "seconds": seconds, "cpu_seconds": cpu_seconds}))


def stamp_batches() -> list[tuple[float, float, int]]:
    """The clock, the CPU seconds and the samples of every batch, noted as it ends."""
    from clip_retrieval.clip_inference import mapper

    ends: list[tuple[float, float, int]] = []
    compute = mapper.ClipMapper.__call__

    def stamped(self: Any, item: dict[str, Any]) -> Any:
        found = compute(self, item)
        count = len(item["image_tensor"] if "image_tensor" in item else item["text_tokens"])
        ends.append((time.perf_counter(), time.process_time(), count))
        return found

    mapper.ClipMapper.__call__ = stamped
    return ends


if __name__ == "__main__":
    main()
