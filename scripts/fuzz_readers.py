"""Fuzz of the readers of texts and tables: mutated files of every format, read in child processes.

    python scripts/fuzz_readers.py --files 5000

Right is: rows, rejects, or the one kind of error that a step counts as a damaged file. Wrong is: another error, a
process that dies, or a file that takes longer than LIMIT_SECONDS. A finding names its seed.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import lzma
import random
import subprocess
import sys
import tarfile
import tempfile
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

CHUNK, LIMIT_SECONDS = 250, 240
ROWS = [{"id": n, "text": f'row {n}, "quoted" naïve\n' * (1 + n % 3), "tags": ["a", "b"]} for n in range(40)]


def seeds() -> dict[str, bytes]:
    """A whole file of each format, by name."""
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet as pq

    table = pa.table({"id": [row["id"] for row in ROWS], "text": [row["text"] for row in ROWS], "tags": [["a"]] * 40})
    parquet, feather, stream, tar = (io.BytesIO() for _ in range(4))
    pq.write_table(table, parquet, row_group_size=10)
    pyarrow.feather.write_feather(table, feather)
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    with tarfile.open(fileobj=tar, mode="w") as members:
        for number, row in enumerate(ROWS[:10]):
            member = tarfile.TarInfo(f"{number}.txt")
            member.size = len(str(row["text"]).encode())
            members.addfile(member, io.BytesIO(str(row["text"]).encode()))
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    cells = [(row["id"], str(row["text"]).replace('"', '""')) for row in ROWS]
    table_csv = ("id,text\n" + "".join(f'{number},"{text}"\n' for number, text in cells)).encode()
    page = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 9\r\n\r\na red fox\r\n\r\n"
    return {
        "a.jsonl": lines,
        "a.json": json.dumps(ROWS, indent=1).encode(),
        "a.csv": table_csv,
        "spark.csv": table_csv.replace(b'""', b'\\"'),
        "utf16.tsv": table_csv.decode().replace(",", "\t").encode("utf-16"),
        "a.parquet": parquet.getvalue(),
        "a.feather": feather.getvalue(),
        "a.arrow": stream.getvalue(),
        "a.tar": tar.getvalue(),
        "a.wet": page * 10,
        "a.txt.gz": gzip.compress(lines),
        "a.tgz": gzip.compress(tar.getvalue()),
        "a.jsonl.bz2": bz2.compress(lines),
        "a.jsonl.xz": lzma.compress(lines),
        "a.jsonl.zst": pa.Codec("zstd").compress(lines, asbytes=True),
        "a.jsonl.lz4": pa.Codec("lz4").compress(lines, asbytes=True),
    }


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A file with one to four places changed, cut out, doubled or cut off."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, size = rng.randrange(len(found) or 1), rng.randint(1, 40)
        kind = rng.randrange(6)
        if kind == 0:
            found[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del found[at : at + size]
        elif kind == 2:
            found[at:at] = found[at : at + size]
        elif kind == 3:
            found[at : at + size] = rng.randbytes(size)
        elif kind == 4:
            found[at:at] = rng.choice([b"\0", b'"', b"\xff\xfe", b"\r", b"\\", b"[", b"{", b"\n", bytes(512)])
        else:
            del found[at:]
    return bytes(found)


def read(path: Path) -> None:
    """Read a file in both ways; raises what no step would count as damage."""
    from clip_spark.errors import InputError
    from clip_spark.texts import corpus
    from clip_spark.texts.corpus import Account, Piece
    from clip_spark.texts.make_records import plan_rows
    from clip_spark.texts.specs import RecordsSpec

    try:
        for _ in corpus.read_text(Piece(str(path)), "text", Account()):
            pass
    except Exception as error:
        if not corpus.is_damage(error):
            raise
    spec = RecordsSpec(rows=(str(path),), output="o")
    try:
        planned = plan_rows(corpus.list_corpus(spec.rows, "rows").files, spec)
        (file,) = planned.files
    except (InputError, ValueError) as error:
        if not isinstance(error, InputError) and "unpack" not in str(error):
            raise
        return
    for _ in planned.reader(spec, 2)(file):
        pass


def child(name: str, start: int, number: int) -> int:
    """Read so many mutated files; the number of each seed is printed before its file is read."""
    data = seeds()[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        for seed in range(start, start + number):
            print(seed, flush=True)
            path.write_bytes(mutated(data, random.Random(f"{name} {seed}")))
            try:
                read(path)
            except Exception:  # noqa: BLE001 whatever it is, it is a finding
                traceback.print_exc()
                return 1
    return 0


def fuzz(files: int, names: list[str]) -> list[str]:
    """What went wrong, a text for each; files per format."""
    found = []
    for name in names:
        for start in range(0, files, CHUNK):
            command = [sys.executable, __file__, "--child", name, str(start), str(min(CHUNK, files - start))]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
                failed, said, why = done.returncode, done.stdout, done.stderr
            except subprocess.TimeoutExpired as error:
                failed, said, why = -1, (error.stdout or b"").decode(), "it took too long"
            if failed:
                found.append(f"{name}, seed {(said.split() or ['?'])[-1]}, exit {failed}:\n{why[-3000:]}")
    return found


def main() -> int:
    """Exit status 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5000, help="per format")
    parser.add_argument("--formats", nargs="*", default=sorted(seeds()))
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(given.child[0], int(given.child[1]), int(given.child[2]))
    found = fuzz(given.files, given.formats)
    print("\n\n".join(found) or f"{given.files} files of each of {len(given.formats)} formats: nothing found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
