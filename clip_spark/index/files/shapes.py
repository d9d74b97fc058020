"""*Worker.* What a Faiss index is made of: a map of ids, rotations, inverted lists, a graph, codes.

build-index makes `IDMap,Flat` and `IVF...`; adopted files may also be plain, behind rotations, or graphs (HNSW). These
functions look at an opened part, of which nothing else need be known; `keys` says the same of a manifest's key.
"""

from __future__ import annotations

from typing import Any

from clip_spark.index.files.faiss_library import load_faiss

TRANSFORMS = {
    "OPQMatrix": "OPQ{size}_{d_out}",
    "PCAMatrix": "PCA{d_out}",
    "RandomRotationMatrix": "RR{d_out}",
    "LinearTransform": "LT{d_out}",
    "RemapDimensionsTransform": "Pad{d_out}",
}
"""Class of a rotation or another linear map -> what a factory key calls it."""
CODES = {"IndexFlat": "Flat", "IndexFlatIP": "Flat", "IndexFlatL2": "Flat", "IndexIVFFlat": "Flat"}


def core_of(index: Any) -> Any:
    """*Worker.* What lies behind maps of ids and rotations, as its own class."""
    faiss = load_faiss()
    while isinstance(index, (faiss.IndexIDMap, faiss.IndexPreTransform)):
        index = faiss.downcast_index(index.index)
    return index


def transforms_of(index: Any) -> list[Any]:
    """*Worker.* The maps that queries go through, in order."""
    faiss = load_faiss()
    if isinstance(index, faiss.IndexIDMap):
        return transforms_of(faiss.downcast_index(index.index))
    if not isinstance(index, faiss.IndexPreTransform):
        return []
    return [faiss.downcast_VectorTransform(index.chain.at(number)) for number in range(index.chain.size())]


def is_graph(index: Any) -> bool:
    """*Worker.* Whether a part is an HNSW graph."""
    return isinstance(core_of(index), load_faiss().IndexHNSW)


def keeps_vectors(index: Any) -> bool:
    """*Worker.* Whether a part has its vectors bit by bit."""
    faiss = load_faiss()
    core = core_of(index)
    if isinstance(core, faiss.IndexHNSW):
        core = faiss.downcast_index(core.storage)
    return isinstance(core, (faiss.IndexFlat, faiss.IndexIVFFlat)) and not transforms_of(index)


def reach(index: Any) -> int:
    """*Worker.* The greatest `nprobe` that matters: lists, or candidates of a graph; 0 where all is searched."""
    core = core_of(index)
    if isinstance(core, load_faiss().IndexIVF):
        return int(core.nlist)
    return int(core.ntotal) if is_graph(index) else 0


def key_of(index: Any) -> str:
    """*Worker.* The factory key of an index that was read from a file, such as `OPQ16_64,IVF1024_HNSW32,PQ16x8`."""
    steps = []
    for one in transforms_of(index):
        name = TRANSFORMS.get(type(one).__name__, type(one).__name__)
        steps.append(name.format(size=getattr(one, "M", 0), d_out=one.d_out))
    return ",".join([*steps, *_core_key(core_of(index))])


def _core_key(core: Any) -> list[str]:
    faiss = load_faiss()
    if isinstance(core, faiss.IndexHNSW):
        storage = _code(faiss.downcast_index(core.storage))
        return [f"HNSW{core.hnsw.nb_neighbors(1)}", *([] if storage == "Flat" else [storage])]
    if isinstance(core, faiss.IndexIVF):
        quantizer = faiss.downcast_index(core.quantizer)
        graph = f"_HNSW{quantizer.hnsw.nb_neighbors(1)}" if isinstance(quantizer, faiss.IndexHNSW) else ""
        return [f"IVF{core.nlist}{graph}", _code(core)]
    return [_code(core)]


def _code(core: Any) -> str:
    """How vectors are kept: Flat, SQ8, SQfp16, PQ16x8, RaBitQ."""
    if hasattr(core, "rabitq"):
        return "RaBitQ"
    if hasattr(core, "pq"):
        return f"PQ{core.pq.M}x{core.pq.nbits}"
    if hasattr(core, "sq"):
        bits = 8 * core.code_size // core.d
        return "SQfp16" if bits == 16 else f"SQ{bits}"
    return CODES.get(type(core).__name__, type(core).__name__)
