"""*Worker.* What one task reads: some files, one tar, or one parquet file."""

from clip_spark.pictures.parquet_rows import ParquetPart
from clip_spark.pictures.sources import FilesPart
from clip_spark.pictures.tars import TarPart

Part = FilesPart | TarPart | ParquetPart
"""`read()` yields its pictures in an order that depends on the part alone."""
