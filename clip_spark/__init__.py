"""clip-spark: text corpora and image sets -> CLIP embeddings -> Faiss indices, as Spark batch jobs.

Importing this package loads neither pyspark, torch nor faiss (held by tests/unit/test_imports.py).
"""

__version__ = "0.1.0"
