"""Requests that schemathesis makes from the server's own openapi.json, right ones and wrong ones (`make fuzz-api`).

    python scripts/fuzz_api.py --demo demo-out --examples 200

Exit status 1: an answer of 5xx, one of a shape, status or type that openapi.json does not promise, or a wrong request
that is not refused. A right request may be refused: that one parameter needs another is no matter of a schema.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts")]
from bench_serve import free_port, server  # noqa: E402

CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"),
    "negative_data_rejection",
)


def main() -> int:
    """Serve the demo, and let schemathesis ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", required=True, help="folder of `make demo`")
    parser.add_argument("--examples", type=int, default=100, help="of each route")
    options = parser.parse_args()
    demo, port = Path(options.demo), free_port()
    indices = ["--index", f"pictures={demo / 'image-index'}", "--index", f"words={demo / 'ngram-index'}"]
    command = [sys.executable, "-m", "clip_spark.jobs.serve", *indices, "--port", str(port)]
    with server(command, f"http://127.0.0.1:{port}", demo / "fuzz-api.log") as url:
        tool = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"]
        how = ["--phases", "coverage,fuzzing", "--continue-on-failure", "--generation-database", "none"]
        limits = ["--checks", ",".join(CHECKS), "--max-examples", str(options.examples)]
        return subprocess.run([*tool, *how, *limits], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
