"""A published folder in clip-retrieval's own server, in an environment of its own that CLIP_RETRIEVAL_PYTHON names."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from clip_spark.analysis.publish.spec import PublishSpec
from clip_spark.analysis.publish.step import publish
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from tests.helpers_embeddings import unit_vectors, write_embeddings

PYTHON = os.environ.get("CLIP_RETRIEVAL_PYTHON", "")
ROWS = 200
SERVER = """
import sys, all_clip, flask
from clip_retrieval import clip_back
all_clip.load_clip = lambda *_, **__: (None, None, None)  # queries come as embeddings: no weights are needed
run = flask.Flask.run
flask.Flask.run = lambda app, host, **others: run(app, host="127.0.0.1", **others)
clip_back(indices_paths=sys.argv[1], port=int(sys.argv[2]), enable_mclip_option=False, use_jit=False,
          provide_aesthetic_embeddings=False, enable_faiss_memory_mapping=True)
"""


def ask(port: int, vector: np.ndarray) -> list[dict[str, object]]:
    body = {"embedding_input": vector.tolist(), "modality": "image", "num_images": 5, "num_result_ids": 5,
            "indice_name": "published", "deduplicate": False, "use_safety_model": False,
            "use_violence_detector": False, "use_mclip": False}  # fmt: skip
    request = urllib.request.Request(f"http://127.0.0.1:{port}/knn-service", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.skipif(not PYTHON, reason="CLIP_RETRIEVAL_PYTHON names no interpreter that has clip-retrieval")
def test_clip_back_serves_what_was_published(tmp_path: Path) -> None:
    vectors, names = unit_vectors(ROWS), [f"https://example.org/{n}.jpg" for n in range(ROWS)]
    write_embeddings(tmp_path / "emb", vectors, names, modality="image")
    index = IndexSpec(embeddings=(str(tmp_path / "emb"),), output=str(tmp_path / "index"))
    build_index(lambda: pytest.fail("no Spark"), index)
    publish(PublishSpec(index=index.output, layout="clip-retrieval", output=str(tmp_path / "out"), file_rows=70))
    (tmp_path / "indices.json").write_text(json.dumps({"published": str(tmp_path / "out")}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with open(tmp_path / "log", "w") as log:
        command = [PYTHON, "-c", SERVER, str(tmp_path / "indices.json"), str(port)]
        server = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        query = unit_vectors(1, seed=9)[0]
        found = answered(server, port, query, tmp_path / "log")
    finally:
        server.kill()
        server.wait()
    best = np.argsort(-(vectors @ query), kind="stable")[:5]
    assert [hit["url"] for hit in found] == [names[n] for n in best]
    np.testing.assert_allclose([hit["similarity"] for hit in found], (vectors @ query)[best], atol=1e-5)


def answered(server: subprocess.Popen[bytes], port: int, query: np.ndarray, log: Path) -> list[dict[str, object]]:
    """The first answer; the server takes a while to import torch."""
    while server.poll() is None:
        try:
            return ask(port, query)
        except urllib.error.HTTPError:
            break
        except (ConnectionError, urllib.error.URLError):
            time.sleep(0.5)
    pytest.fail(log.read_text()[-2000:])
