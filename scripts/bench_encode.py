"""Compare the encoder with clip-retrieval 2.45 and with the bare forward pass: same weights, same inputs, alternating.

    python scripts/bench_encode.py --peer-python peer/bin/python --samples 512 --rounds 3 --json bench.json

Inputs are webdataset tars of 640x480 JPEGs with captions of 1 to 3 words. Weights are random (speed does not depend on
them). Ours is timed from a model that has made one small shard to a written shard, clip-retrieval over its full batches
once it runs (see `bench_encode_peer.py`); `bare` is open_clip's forward pass on ready tensors and writes nothing, its
texts in batches of equal length, cut there. Each run is a process of its own. CPU seconds are those of the main process
(clip-retrieval's reader processes are not counted).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]
from figures import save_figures  # noqa: E402

OURS = {
    "ours": "fp32",
    "ours-auto": "auto",
    "ours-bf16": "bf16",
    "ours-fp16": "fp16",
    "ours-int8": "int8",
    "ours-onnx": "fp32",
}
"""Our engines and their precisions. `ours` is what the others are compared with."""
OF_PICTURES = ("ours-int8", "ours-onnx")
BARE = {"bare": "fp32", "bare-bf16": "bf16"}
"""The model's own pass, in two precisions."""
ENGINES = (*OURS, *BARE, "clip-retrieval")
WARM = 8
"""Samples before the clock: the first pass of a process makes kernels, and its first shard imports pandas."""
LEAST_COSINE = 0.9999
"""Vectors in fp32 further from clip-retrieval's make the benchmark fail."""


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default="", help="interpreter that has clip-retrieval; none leaves it out")
    parser.add_argument("--work", default="", help="folder for inputs and weights, kept (default: a temporary one)")
    parser.add_argument("--samples", type=int, default=2048)
    parser.add_argument("--peer-samples", type=int, default=640, help="of 10 batches of 64, it times 4")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--modalities", default="text,image")
    parser.add_argument("--engines", default=",".join(ENGINES), help="what takes turns; `ours` must be among it")
    parser.add_argument("--json", help="file for all measurements")
    parser.add_argument("--timeout", type=int, default=300, help="seconds that one run may take")
    parser.add_argument("--one", nargs=2, metavar=("ENGINE", "MODALITY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(options.work or temporary)
        if options.one:
            print("RESULT " + json.dumps(run_here(*options.one, work, options)))
            return 0
        prepare(work, options.samples, options.peer_samples)
        results = measure_all(work, options)
    summary = summarise(results)
    if options.json:
        save_figures(options.json, {"summary": summary, "runs": results})
    show(summary)
    exact = [row["least_cosine"] for row in summary if row["engine"] == "ours" and row["least_cosine"] is not None]
    return int(any(cosine < LEAST_COSINE for cosine in exact))


def prepare(work: Path, samples: int, peer_samples: int) -> None:
    """Weights and the tars; ours and the peer's begin with the same samples."""
    import open_clip
    import torch

    work.mkdir(parents=True, exist_ok=True)
    if not (work / "b32.pt").exists():
        torch.manual_seed(0)
        torch.save(open_clip.create_model("ViT-B-32").state_dict(), work / "b32.pt")
    made = list(make_samples(max(samples, peer_samples)))
    write_tar(work / "samples.tar", made[:samples])
    write_tar(work / "first.tar", made[:WARM])
    write_tar(work / "peer-0.tar", made[:peer_samples:2])  # one tar for each of its readers
    write_tar(work / "peer-1.tar", made[1:peer_samples:2])


def write_tar(path: Path, samples: list[tuple[str, str, bytes]]) -> None:
    """A webdataset tar of (key, caption, JPEG)."""
    with tarfile.open(path, "w") as tar:
        for key, caption, picture in samples:
            for suffix, data in (("jpg", picture), ("txt", caption.encode())):
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def make_samples(samples: int) -> Iterator[tuple[str, str, bytes]]:
    """Keys, captions from the bundled names, and smooth noise, which compresses about as photographs do."""
    from PIL import Image

    words = " ".join(p.read_text() for p in sorted((ROOT / "clip_spark/demo/text").glob("*.txt"))).lower().split()
    random = np.random.default_rng(0)
    for number in range(samples):
        start, count = int(random.integers(len(words) - 3)), int(random.integers(1, 4))
        coarse = random.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
        yield f"{number:06d}", " ".join(words[start : start + count]), stream.getvalue()


def measure_all(work: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every engine and modality in turn, round after round, and the vectors of the last round compared."""
    engines = [engine for engine in options.engines.split(",") if engine != "clip-retrieval" or options.peer_python]
    results = []
    for round_ in range(options.rounds):
        for modality in options.modalities.split(","):
            chosen = [engine for engine in engines if modality == "image" or engine not in OF_PICTURES]
            for engine in chosen:
                figures = run_process(engine, modality, work, options)
                samples = figures.pop("samples")
                rates = {f"per_{name.removesuffix('s')}": samples / value for name, value in figures.items()}
                results.append({"engine": engine, "modality": modality, "round": round_, **rates})
                print(results[-1], file=sys.stderr, flush=True)
            if options.peer_python:
                for result in results[-len(chosen) :]:
                    if result["engine"].startswith("ours"):
                        result["least_cosine"] = least_cosine(work, f"{result['engine']}-{modality}")
    return results


def run_process(engine: str, modality: str, work: Path, options: argparse.Namespace) -> dict[str, float]:
    """Seconds and CPU seconds of one run in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "CUDA_VISIBLE_DEVICES": ""}
    if engine == "clip-retrieval":
        output = work / f"peer-{modality}"
        subprocess.run(["rm", "-rf", str(output)], check=True)
        script = str(ROOT / "scripts" / "bench_encode_peer.py")
        arguments = [modality, str(work / "peer-{0..1}.tar"), str(output), str(work / "b32.pt"), str(options.threads)]
        command = [options.peer_python, script, *arguments]
    else:
        command = [sys.executable, __file__, "--one", engine, modality, "--work", str(work)]
        command += ["--threads", str(options.threads), "--samples", str(options.samples)]
    said, errors = finished(command, environment, options.timeout)
    lines = [line for line in said.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise SystemExit(f"{engine} failed or took longer than {options.timeout} s:\n{errors[-3000:]}")
    return dict(json.loads(lines[-1].removeprefix("RESULT ")))


def finished(command: list[str], environment: dict[str, str], timeout: int) -> tuple[str, str]:
    """What a command says; after `timeout` seconds it and all processes that it started are ended."""
    run = subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        return run.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        return run.communicate()


def run_here(engine: str, modality: str, work: Path, options: argparse.Namespace) -> dict[str, float]:
    """Seconds and CPU seconds of our encoder, or of the bare model, in this process."""
    from clip_spark.encoders import EncoderSpec, load_encoder

    spec = EncoderSpec(f"ViT-B-32:{work / 'b32.pt'}", (OURS | BARE)[engine])
    encoder = load_encoder(replace(spec, backend="onnx" if engine == "ours-onnx" else "torch"), "cpu")
    import torch

    torch.set_num_threads(options.threads)
    work_of = bare_work(encoder, modality, work) if engine in BARE else ours_work(encoder, f"{engine}-{modality}", work)
    start, cpu = time.perf_counter(), time.process_time()
    work_of()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    return {"samples": options.samples, "seconds": seconds, "cpu_seconds": cpu_seconds}


def ours_work(encoder: Any, name: str, work: Path) -> Callable[[], None]:
    """Read a tar, encode, write a parquet shard, as a task; a small one at once. `name` ends with the modality."""
    from clip_spark.datasets.embeddings import embedding_table
    from clip_spark.datasets.schema import EMBEDDINGS
    from clip_spark.datasets.shards import ShardWriter
    from clip_spark.embed.picture_stream import encode_pictures, prepared_pictures
    from clip_spark.pictures.sources import Picture
    from clip_spark.pictures.tars import TarPart

    def run(tar: str = "samples.tar") -> None:
        part = TarPart(str(work / tar))
        with ShardWriter(str(work / name), "bench", 0, {"embeddings": EMBEDDINGS}) as writer:
            if name.endswith("image"):
                found = list(encode_pictures(encoder, prepared_pictures(encoder, part, writer)))
                ids, vectors = [key_of(row.picture.uri) for row, _ in found], np.stack([vector for _, vector in found])
            else:
                pictures = [item for item in part.read() if isinstance(item, Picture)]
                ids = [picture.caption or "" for picture in pictures]
                vectors = encoder.encode_texts(ids)
            writer.write("embeddings", embedding_table(ids, vectors))
            writer.finish()

    run("first.tar")
    return run


def key_of(uri: str) -> str:
    """webdataset's key of a member of a tar."""
    return uri.removeprefix("tar://").partition(".")[0]


def bare_work(encoder: Any, modality: str, work: Path) -> Callable[[], None]:
    """open_clip's own forward pass on ready tensors."""
    import torch

    from clip_spark.encoders.trie import NO_TOKEN
    from clip_spark.pictures.sources import Picture
    from clip_spark.pictures.tars import TarPart

    model = encoder._model
    pictures = [item for item in TarPart(str(work / "samples.tar")).read() if isinstance(item, Picture)]
    if modality == "image":
        pixels = torch.from_numpy(np.stack([encoder.prepare(picture.data).values for picture in pictures]))
        pixels = encoder.prepare.normalise(pixels).to(encoder._forward.weights)
        batches, forward = pixels.split(32), model.encode_image
    else:
        table = encoder.tokenise([picture.caption or "" for picture in pictures]).table.tolist()
        rows = sorted(([token for token in row if token != NO_TOKEN] for row in table), key=len)
        same = {length: [row for row in rows if len(row) == length] for length in {len(row) for row in rows}}
        batches = [batch for group in same.values() for batch in torch.tensor(group).split(256)]

        def forward(ids: Any) -> Any:
            x = model.token_embedding(ids) + model.positional_embedding[: ids.shape[1]]
            x = model.transformer(x, attn_mask=model.attn_mask[: ids.shape[1], : ids.shape[1]])
            return model.ln_final(x)[torch.arange(len(ids)), ids.argmax(-1)] @ model.text_projection

    @torch.inference_mode()
    def run() -> None:
        for batch in batches:
            forward(batch)

    with torch.inference_mode():
        forward(batches[0][:WARM])
    return run


def least_cosine(work: Path, ours_name: str) -> float:
    """The smallest cosine between our vector and clip-retrieval's (which it stores as float16) of one sample."""
    import pyarrow.parquet as pq

    from clip_spark.datasets.embeddings import read_embeddings

    modality = ours_name.rpartition("-")[2]
    shard = work / ours_name / "embeddings" / "00000.parquet"
    ours = dict(zip(pq.read_table(shard).column("record_id").to_pylist(), read_embeddings(str(shard)), strict=True))
    peer, name = work / f"peer-{modality}", "img" if modality == "image" else "text"
    named = pq.read_table(next((peer / "metadata").glob("*.parquet")))
    keys = named.column("image_path" if modality == "image" else "caption").to_pylist()
    vectors = np.load(next((peer / f"{name}_emb").glob("*.npy"))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return float(min(ours[key] @ vector for key, vector in zip(keys, vectors, strict=True) if key in ours))


def summarise(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Median rate of each engine, our ratio to it by clock and by CPU time, and the ratios of each round."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["modality"], result["engine"]), []).append(result)

    def ratios_of(modality: str, engine: str, figure: str) -> list[float]:
        pairs = zip(groups[modality, engine], groups[modality, "ours"], strict=True)
        return [round(ours[figure] / other[figure], 2) for other, ours in pairs]

    rows = []
    for (modality, engine), runs in groups.items():
        cosines = [run["least_cosine"] for run in runs if "least_cosine" in run]
        rows.append(
            {
                "modality": modality,
                "engine": engine,
                "per_second": round(statistics.median(run["per_second"] for run in runs), 2),
                "per_cpu_second": round(statistics.median(run["per_cpu_second"] for run in runs), 2),
                "ratios": ratios_of(modality, engine, "per_second"),
                "cpu_ratios": ratios_of(modality, engine, "per_cpu_second"),
                "least_cosine": round(min(cosines), 6) if cosines else None,
            }
        )
    return rows


def show(summary: list[dict[str, Any]]) -> None:
    """A table."""
    print("| modality | engine | per second | per CPU second | ours is x times | by CPU time | least cosine |")
    print("|---|---|---|---|---|---|---|")
    for row in summary:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


if __name__ == "__main__":
    raise SystemExit(main())
