"""download-images and img2dataset 1.47 on one web of loopback, alternating: pictures a second, CPU, memory.

python3.11 -m venv peer && peer/bin/pip install img2dataset==1.47.0
python scripts/bench_download.py --work build/bench/download --peer peer/bin/python --json build/bench/download.json

The web is a process of its own: 64 hosts by address, 20 to 500 ms before each answer, photographs of 800 x 600 pixels.
Both store pictures of 256 pixels on their shorter side as JPEG of quality 95, in webdataset tars, with two processes.
CPU seconds are those of all processes of a run (ours: Spark's JVM, driver and workers too), without the web's.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.bench_ngrams import Usage

HOSTS, PICTURES = 64, 100


def photograph(seed: int) -> bytes:
    """Colours that change slowly, with some grain: a JPEG of about 100 kB, as cameras' pictures have at this size."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 256, (30, 40, 3), np.uint8)).resize((800, 600), Image.Resampling.BICUBIC)
    grain = draw.normal(0, 6, (600, 800, 3))
    sink = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).save(sink, "JPEG", quality=85)
    return sink.getvalue()


async def serve(port_file: Path) -> None:
    """Answer until killed; `/robots.txt` is not there."""
    answers = []
    for seed in range(PICTURES):
        data = photograph(seed)
        answers.append(
            f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data
        )
    draw = random.Random(0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                path = request.split(b" ", 2)[1]
                await asyncio.sleep(draw.uniform(0.02, 0.5))
                number = path.rsplit(b"/", 1)[1].split(b".")[0]
                writer.write(
                    answers[int(number) % PICTURES]
                    if number.isdigit()
                    else b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
                )
                await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    names = [f"127.0.0.{number}" for number in range(1, HOSTS + 1)]
    first = await asyncio.start_server(answer, names[0], 0)
    port = first.sockets[0].getsockname()[1]
    others = [await asyncio.start_server(answer, name, port) for name in names[1:]]
    port_file.with_suffix(".tmp").write_text(str(port))
    port_file.with_suffix(".tmp").rename(port_file)
    await asyncio.gather(*(server.serve_forever() for server in (first, *others)))


def run_one(engine: str, links: Path, output: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One run in processes of its own: seconds, CPU seconds, peak memory of the tree, pictures that came."""
    shutil.rmtree(output, ignore_errors=True)
    command = ours(links, output) if engine == "ours" else peer(links, output, options.peer)
    started = time.perf_counter()
    with (options.work / f"{engine}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"})
        usage = Usage(process.pid)
        status = process.wait()
    seconds = time.perf_counter() - started
    found = {"engine": engine, "status": status, "pictures": count(output), "seconds": round(seconds, 2)}
    used = usage.stop()
    return {**found, "cpu_seconds": used["cpu_seconds"], "peak_mb": int(used["peak_bytes"]) >> 20}


def ours(links: Path, output: Path) -> list[str]:
    """download-images, on records that are made beforehand."""
    script = "import sys; from clip_spark.jobs.cli import main; sys.exit(main(sys.argv[1:]))"
    options = ["--records", f"{links.parent}/records", "--output", str(output), "--allow-private"]
    options += ["--contact", "bench@localhost", "--connections", "128", "--host-connections", "128"]
    return [sys.executable, "-c", script, "download-images", *options, "--master", "local[2]"]


def peer(links: Path, output: Path, python: str) -> list[str]:
    """img2dataset, as its README runs it, with the same sizes."""
    code = f"""
from img2dataset import download
if __name__ == "__main__":
    download(url_list={str(links)!r}, input_format="parquet", url_col="url", caption_col="caption",
             output_folder={str(output)!r}, output_format="webdataset", processes_count=2, thread_count=128,
             image_size=256, resize_mode="keep_ratio", resize_only_if_bigger=True, encode_quality=95,
             number_sample_per_shard=5000, enable_wandb=False)
"""
    script = output.parent / "peer.py"
    script.write_text(code)
    return [python, str(script)]


def count(output: Path) -> int:
    """Pictures in all tars."""
    total = 0
    for tar in output.rglob("*.tar"):
        with tarfile.open(tar) as file:
            total += sum(name.endswith(".jpg") for name in file.getnames())
    return total


def make_links(work: Path, port: int, links: int) -> Path:
    """The table for both, and records of it."""
    from clip_spark.datasets.plan import Plan
    from clip_spark.datasets.run import begin_run
    from clip_spark.datasets.schema import record_id
    from clip_spark.datasets.shards import ShardWriter
    from clip_spark.texts.specs import RecordsSpec

    urls = [f"http://127.0.0.{1 + number % HOSTS}:{port}/{number}.jpg" for number in range(links)]
    table = pa.table({"url": urls, "caption": [f"number {number}" for number in range(links)]})
    pq.write_table(table, work / "links.parquet")
    shutil.rmtree(work / "records", ignore_errors=True)
    spec = RecordsSpec(rows=("links.parquet",), output=str(work / "records"), uri_column="url")
    run = begin_run(spec.output, Plan.of("records", spec, {}, 1), overwrite=False)
    columns = {"record_id": [record_id(url) for url in urls], "kind": ["image"] * links, "uri": urls}
    made = pa.table({**columns, "text": table["caption"]})
    with ShardWriter(run.output, run.plan.fingerprint, 0, {"records": made.schema}) as writer:
        writer.write("records", made)
        writer.finish()
    run.commit()
    return work / "links.parquet"


def summarise(results: list[dict[str, Any]], links: int) -> dict[str, Any]:
    """Medians of each engine, and ratios ours : peer."""
    rows = {}
    for engine in ("ours", "img2dataset"):
        mine = [one for one in results if one["engine"] == engine]
        middle = {
            name: statistics.median(one[name] for one in mine)
            for name in ("pictures", "seconds", "cpu_seconds", "peak_mb")
        }
        middle["pictures_per_cpu_second"] = round(middle["pictures"] / middle["cpu_seconds"], 2)
        middle["pictures_per_second"] = round(middle["pictures"] / middle["seconds"], 2)
        rows[engine] = middle
    ratio = rows["ours"]["pictures_per_cpu_second"] / rows["img2dataset"]["pictures_per_cpu_second"]
    return {"links": links, "medians": rows, "ratio_per_cpu_second": round(ratio, 2), "runs": results}


def main() -> int:
    """Run; prints and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--peer", help="python of an environment with img2dataset")
    parser.add_argument("--links", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve))
        return 0
    options.work.mkdir(parents=True, exist_ok=True)
    port_file = options.work / "port"
    port_file.unlink(missing_ok=True)
    web = subprocess.Popen([sys.executable, __file__, "--work", str(options.work), "--serve", str(port_file)])
    try:
        while not port_file.exists():
            time.sleep(0.2)
        links = make_links(options.work, int(port_file.read_text()), options.links)
        results = []
        for _ in range(options.rounds):
            for engine in ("ours", "img2dataset") if options.peer else ("ours",):
                results.append(run_one(engine, links, options.work / engine, options))
                print(json.dumps(results[-1]), flush=True)
    finally:
        web.kill()
        web.wait()
    found = summarise(results, options.links) if options.peer else {"runs": results}
    print(json.dumps(found, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
