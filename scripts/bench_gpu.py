"""What a GPU makes of the encoder: forward passes against the card's own products, whole tasks, what bounds them.

    python scripts/bench_gpu.py --json gpu.json                 # all stages, about four minutes on an H100 or H200
    python scripts/bench_gpu.py --stages images --models ViT-L-14

Weights are random (speed does not depend on them). The peak is the best product of two square matrices of 8,192 in the
same type on this card now; operations of a pass are counted by torch. Tasks are those of embed-text and embed-images
without Spark: records or JPEGs in, parquet shards out, in one process and in several that share the card.
Needs what `scripts/carry_gpu.sh` brings; the JSON is written after each figure, so that a run that is cut short tells
what it knew.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

MODELS = {"ViT-B-32": (256, 1024), "ViT-L-14": (128, 256), "ViT-B-16-SigLIP2": (256, 512)}
"""Architecture -> pictures of a pass that are tried; the better counts."""
PRECISIONS = ("fp32", "bf16", "fp16")
SIDE = 8192
SECONDS = 0.5
CUDA = "cuda:0"


class Figures(dict[str, Any]):
    """Figures by name, printed and written to a file as they come."""

    def __init__(self, path: str | None) -> None:
        super().__init__()
        self._path = path

    def say(self, name: str, value: Any) -> None:
        """Add one."""
        self[name] = value
        print(f"{name}: {value}", flush=True)
        if self._path:
            Path(self._path).write_text(json.dumps(self, indent=1) + "\n")


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--stages", default="peak,images,texts,jpegs")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--texts", type=int, default=400_000, help="distinct n-grams of 1 to 3 words")
    parser.add_argument("--pictures", type=int, default=8_192, help="JPEGs of 640 x 480")
    parser.add_argument("--processes", default="1,4", help="tasks that share the card")
    parser.add_argument("--device", default=CUDA)
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    parser.add_argument(
        "--work", default=memory, help="folder for a temporary folder; in memory, so no disk is measured"
    )
    options = parser.parse_args()
    figures = Figures(options.json)
    figures.say("card", describe(options.device))
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        for stage in options.stages.split(","):
            start = time.perf_counter()
            STAGES[stage](figures, options, Path(work))
            figures.say(f"seconds of {stage}", round(time.perf_counter() - start, 1))
    return 0


def describe(device: str) -> list[Any]:
    """The card, torch, and the CPU cores beside it."""
    import torch

    name = torch.cuda.get_device_name(device) if device != "cpu" else "cpu"
    return [name, torch.__version__, os.cpu_count()]


def median_seconds(work: Callable[[], object], device: str) -> float:
    """The median of some runs, each waited for, after two that warm up."""
    from clip_spark.runtime.devices import wait_for

    work(), work()
    spent = list[float]()
    while sum(spent) < SECONDS or len(spent) < 3:
        wait_for(device)
        start = time.perf_counter()
        work()
        wait_for(device)
        spent.append(time.perf_counter() - start)
    return float(np.median(spent))


def measure_peak(figures: Figures, options: argparse.Namespace, _work: Path) -> None:
    """Billions of operations a second of one large product, by type."""
    import torch

    side = SIDE if options.device != "cpu" else 512
    for name in PRECISIONS:
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(name, torch.float32)
        a, b = (torch.randn(side, side, device=options.device, dtype=dtype) for _ in range(2))
        rate = 2 * side**3 / median_seconds(lambda a=a, b=b: a @ b, options.device)  # type: ignore[misc]
        figures.say(f"peak {name}, TFLOP/s", round(rate / 1e12, 1))


def measure_images(figures: Figures, options: argparse.Namespace, work: Path) -> None:
    """Pictures a second of ready pixels on the card, and of `encode_pixels` from memory to memory."""
    for model in options.models.split(","):
        path, each = weights(model, work)
        figures.say(f"{model}: GFLOP a picture", round(each / 1e9, 2))
        for precision in PRECISIONS:
            batch, rate = best_pass(model, path, precision, options.device)
            share = rate * each / 1e12 / figures[f"peak {precision}, TFLOP/s"]
            figures.say(f"{model} {precision}: pictures/s of ready pixels, batch", [round(rate), batch])
            figures.say(f"{model} {precision}: share of the peak", round(share, 3))
        figures.say(f"{model}: cosine to fp32", cosines(path, options.device))
        figures.say(f"{model} bf16: encode_pixels, pictures/s", round(pixels_rate(path, options.device)))
        figures.say(f"{model}: peak memory, GB", peak_memory(options.device))


def weights(model: str, work: Path) -> tuple[str, float]:
    """A file of random weights, and the operations of one picture."""
    import open_clip
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    path = work / f"{model}.pt"
    torch.manual_seed(0)
    made = open_clip.create_model(model).eval()
    if not path.exists():
        torch.save(made.state_dict(), path)
    side = made.visual.image_size
    side = side[0] if isinstance(side, tuple) else side
    torch.backends.mha.set_fastpath_enabled(False)  # its products are not counted
    with FlopCounterMode(display=False) as counter:  # which needs gradients
        made.encode_image(torch.zeros(1, 3, side, side))
    torch.backends.mha.set_fastpath_enabled(True)
    return str(path), float(counter.get_total_flops())


def best_pass(model: str, path: str, precision: str, device: str) -> tuple[int, float]:
    """The better batch of a forward pass on normalised pixels, and its pictures a second."""
    import torch

    forward, tower, side = tower_of(path, precision, device)
    found = []
    for batch in MODELS[model]:
        pixels = torch.randn(batch, 3, side, side, device=device, dtype=forward.weights)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        found.append((batch / median_seconds(lambda pixels=pixels: forward(lambda: tower(pixels)), device), batch))  # type: ignore[misc]
    rate, batch = max(found)
    return batch, rate


def tower_of(path: str, precision: str, device: str) -> tuple[Any, Any, int]:
    """A picture tower as the encoder has it: how it computes, the module, the side of its pictures."""
    from clip_spark.encoders.forward import Forward
    from clip_spark.encoders.open_clip import _on_device

    forward = Forward(device, precision)
    model = _on_device(f"{Path(path).stem}:{path}", device, forward.weights).model
    side = model.visual.image_size
    return forward, model.encode_image, side[0] if isinstance(side, tuple) else side


def cosines(path: str, device: str) -> dict[str, float]:
    """Precision -> the least cosine of the vectors of pictures of noise to those in fp32."""
    import torch

    found = {}
    for precision in PRECISIONS:
        forward, tower, side = tower_of(path, precision, device)
        noise = torch.randn(32, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
        found[precision] = forward(lambda: tower(noise.to(forward.weights)))  # noqa: B023
    return {name: float((found[name] * found["fp32"]).sum(1).min()) for name in PRECISIONS}


def pixels_rate(path: str, device: str) -> float:
    """Pictures a second of the encoder from bytes in memory to vectors in memory."""
    import torch
    from PIL import Image

    from clip_spark.encoders.forward import Forward
    from clip_spark.encoders.open_clip import _on_device
    from clip_spark.encoders.picture_pixels import PicturePreparer

    forward = Forward(device, "bf16")
    loaded = _on_device(f"{Path(path).stem}:{path}", device, forward.weights)
    preparer = PicturePreparer(loaded.transform)
    one = preparer(Image.new("RGB", (640, 480))).values
    pixels = np.random.default_rng(0).integers(0, 256, (512, *one.shape), dtype=np.uint8)

    def work() -> None:
        batch = torch.from_numpy(pixels).to(device)
        forward(lambda: loaded.model.encode_image(preparer.normalise(batch).to(forward.weights))).cpu()

    return len(pixels) / median_seconds(work, device)


def peak_memory(device: str) -> float:
    """Most that torch has taken of the card since this was asked last, in GB."""
    import torch

    if device == "cpu":
        return 0.0
    peak = torch.cuda.max_memory_allocated(device) / 1e9
    torch.cuda.reset_peak_memory_stats(device)
    return round(peak, 2)


def n_grams(count: int) -> list[str]:
    """Distinct texts of 1 to 3 words, in order, of an invented vocabulary: words of 2 to 9 letters."""
    random = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    words = ["".join(letters[random.geometric(0.12, random.integers(2, 10)) % len(letters)]) for _ in range(30_000)]
    found: set[str] = set()
    while len(found) < count:
        picks = (random.zipf(1.3, (count, 3)) - 1) % len(words)
        lengths = random.integers(1, 4, count)
        found.update(" ".join(words[i] for i in row[:n]) for row, n in zip(picks, lengths, strict=True))
    return sorted(found)[:: max(1, len(found) // count)][:count]


def measure_texts(figures: Figures, options: argparse.Namespace, work: Path) -> None:
    """N-grams a second: split into tokens, computed, and by whole tasks."""
    from clip_spark.embed.text_records import SLICE_ROWS
    from clip_spark.encoders import EncoderSpec, load_encoder

    model = f"ViT-B-32:{weights('ViT-B-32', work)[0]}"
    texts = n_grams(options.texts)
    encoder = load_encoder(EncoderSpec(model, "fp16"), options.device)
    slices = [texts[start : start + SLICE_ROWS] for start in range(0, len(texts), SLICE_ROWS)]
    start = time.perf_counter()
    tokenised = [encoder.tokenise(some) for some in slices]
    figures.say("texts/s split into tokens by one thread", round(len(texts) / (time.perf_counter() - start)))
    start = time.perf_counter()
    for each in tokenised:  # each once, as in a task: what is made anew for each shape counts
        encoder.encode_texts(each)
    figures.say("texts/s computed, fp16, by tree", round(len(texts) / (time.perf_counter() - start)))
    figures.say("token states a text", round(encoder.stats().counters["token_states"] / len(texts), 2))
    records = write_records(texts, work / "records")
    for processes in map(int, options.processes.split(",")):
        spec = ["text", records, str(work / f"text-{processes}"), model]
        say_task(figures, f"embed-text, {processes} processes: texts/s", spec, processes, len(texts))


def write_records(texts: list[str], output: Path) -> str:
    """A dataset of records with these texts."""
    import pyarrow as pa

    from clip_spark.datasets import schema
    from clip_spark.datasets.plan import Plan
    from clip_spark.datasets.run import begin_run
    from clip_spark.datasets.shards import ShardWriter

    run = begin_run(str(output), Plan("records", {}, {}, 1), overwrite=False)
    columns = pa.schema([("record_id", pa.string()), ("text", pa.string())])
    with ShardWriter(run.output, run.plan.fingerprint, 0, {"records": columns}) as writer:
        for start in range(0, len(texts), 10_000):
            part = texts[start : start + 10_000]
            writer.write("records", pa.table([[schema.record_id(text) for text in part], part], schema=columns))
        writer.finish()
    run.commit()
    return str(output)


def measure_jpegs(figures: Figures, options: argparse.Namespace, work: Path) -> None:
    """JPEGs a second: made ready by threads, and by whole tasks."""
    from clip_spark.encoders import EncoderSpec, load_encoder

    model = f"ViT-B-32:{weights('ViT-B-32', work)[0]}"
    encoder = load_encoder(EncoderSpec(model, "fp16"), options.device)
    pictures = jpegs(256)
    for threads in (1, os.cpu_count() or 1):
        many = pictures[:64] if threads == 1 else pictures * 8
        with ThreadPoolExecutor(threads) as pool:
            start = time.perf_counter()
            for _ in pool.map(encoder.prepare, many):
                pass
            rate = len(many) / (time.perf_counter() - start)
        figures.say(f"JPEGs/s made ready, {threads} threads of one process", round(rate))
    tars = write_tars(pictures, options.pictures, work / "tars")
    for processes in map(int, options.processes.split(",")):
        spec = ["image", tars, str(work / f"image-{processes}"), model]
        say_task(figures, f"embed-images, {processes} processes: JPEGs/s", spec, processes, options.pictures)


def jpegs(count: int) -> list[bytes]:
    """Smooth noise of 640 x 480, which compresses about as photographs do (100 kB)."""
    from PIL import Image

    random, found = np.random.default_rng(0), []
    for _ in range(count):
        stream = io.BytesIO()
        coarse = Image.fromarray(random.integers(0, 256, (60, 80, 3), dtype=np.uint8))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
        found.append(stream.getvalue())
    return found


def write_tars(pictures: list[bytes], count: int, folder: Path) -> str:
    """`count` pictures in eight webdataset tars."""
    folder.mkdir()
    for number in range(8):
        with tarfile.open(folder / f"{number:05d}.tar", "w") as tar:
            for key in range(number, count, 8):
                data = pictures[key % len(pictures)]
                info = tarfile.TarInfo(f"{key:08d}.jpg")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return str(folder)


def say_task(figures: Figures, name: str, spec: list[str], processes: int, rows: int) -> None:
    """Rows a second of a step's tasks over some processes, loading left out, and their seconds by stage in all."""
    shards = plan(spec)[2]
    context = multiprocessing.get_context("spawn")
    barrier, spent = context.Barrier(processes + 1), context.SimpleQueue()
    parts = [list(range(number, len(shards), processes)) for number in range(processes)]
    running = [context.Process(target=run_tasks, args=(spec, part, processes, barrier, spent)) for part in parts]
    for process in running:
        process.start()
    barrier.wait(180)
    start = time.perf_counter()
    for process in running:
        process.join()
    if any(process.exitcode for process in running):
        raise SystemExit(f"a task of {spec} failed")
    figures.say(name, round(rows / (time.perf_counter() - start)))
    total = Counter[str]()
    for _ in running:
        total.update(spent.get())
    figures.say(f"{name}, seconds by stage", {stage: round(seconds, 2) for stage, seconds in total.items()})


def run_tasks(spec: list[str], numbers: list[int], processes: int, barrier: Any, spent: Any) -> None:
    """In a process: load the encoder, wait for the others, make some shards."""
    _, make, shards = plan(spec)
    make.task.load()
    cores = max(2, (os.cpu_count() or 1) // processes)
    from clip_spark.embed import picture_stream

    picture_stream.decode_threads = lambda: cores  # what a task of so many of the cores takes under Spark
    barrier.wait(180)
    total = Counter[str]()
    for number in numbers:
        total.update(make(shards[number]).seconds)
    spent.put(dict(total))


def plan(spec: list[str]) -> tuple[Any, Any, Any]:
    """The run of a step, the function that makes its shards, and its shards."""
    from clip_spark.datasets.run import begin_run
    from clip_spark.embed import pictures, texts
    from clip_spark.embed.specs import EmbedImagesSpec, EmbedTextSpec

    kind, source, output, model = spec
    if kind == "text":
        planned = texts.plan_tasks(EmbedTextSpec(output=output, records=(source,), model=model, precision="fp16"))
    else:
        planned = pictures.plan_tasks(EmbedImagesSpec(output=output, images=(source,), model=model, precision="fp16"))
    run = begin_run(output, planned.plan, overwrite=False)
    return run, planned.work(run.output, 0), planned.items


STAGES = {"peak": measure_peak, "images": measure_images, "texts": measure_texts, "jpegs": measure_jpegs}

if __name__ == "__main__":
    sys.exit(main())
