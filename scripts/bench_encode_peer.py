"""One run of clip-retrieval 2.45 for `bench_encode.py`, in its own environment: it needs older versions than ours.

python3.11 -m venv peer && peer/bin/pip install 'setuptools<80' clip-retrieval==2.45.0
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main() -> None:
    """Arguments: image|text, tar, output folder, weights, threads. The last line printed is the result as JSON."""
    modality, tar, output, weights, threads = sys.argv[1:]
    import torch
    from clip_retrieval.clip_inference import main as inference
    from clip_retrieval.clip_inference import mapper

    torch.set_num_threads(int(threads))
    ready = {}
    make = mapper.ClipMapper.__init__

    def timed(self: object, *args: object, **options: object) -> None:
        make(self, *args, **options)
        ready["at"], ready["cpu"] = (
            time.perf_counter(),
            time.process_time(),
        )  # the model is loaded and warm; reading begins

    mapper.ClipMapper.__init__ = timed
    inference.main(
        input_dataset=tar,
        output_folder=output,
        input_format="webdataset",
        batch_size=64,
        num_prepro_workers=int(threads),
        enable_image=modality == "image",
        enable_text=modality == "text",
        enable_metadata=False,
        wds_number_file_per_input_file=1_000_000,
        clip_model=f"open_clip:ViT-B-32/{weights}",
    )
    written = max(path.stat().st_mtime for path in Path(output).rglob("*.npy"))  # not the logger's last seconds
    seconds = time.perf_counter() - ready["at"] - (time.time() - written)
    print("RESULT " + json.dumps({"seconds": seconds, "cpu_seconds": time.process_time() - ready["cpu"]}))


if __name__ == "__main__":
    main()
