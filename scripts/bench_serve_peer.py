"""clip-retrieval 2.45's server for `bench_serve.py`, in its own environment (see `bench_encode_peer.py`), on loopback.

Its `clip_back` listens on all addresses; this runs the same code on 127.0.0.1 alone. Metadata are memory-mapped Arrow
and the index is memory-mapped: of its ways the quickest to open, and as quick as any to answer.
"""

from __future__ import annotations

import sys
from typing import Any


def main() -> None:
    """Arguments: indices_paths.json, port, weights."""
    indices, port, weights = sys.argv[1:]
    import flask
    from clip_retrieval import clip_back

    run = flask.Flask.run

    def on_loopback(self: Any, host: str, **others: Any) -> None:
        run(self, host="127.0.0.1", **others)

    flask.Flask.run = on_loopback
    clip_back(
        indices_paths=indices,
        port=int(port),
        enable_faiss_memory_mapping=True,
        use_arrow=True,
        enable_mclip_option=False,
        provide_aesthetic_embeddings=False,
        use_jit=False,
        clip_model=f"open_clip:ViT-B-32/{weights}",
    )


if __name__ == "__main__":
    main()
