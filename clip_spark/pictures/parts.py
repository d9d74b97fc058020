"""*Worker.* What one task reads: some files, one tar, or one parquet file."""

from clip_spark.pictures.sources import FilesPart
from clip_spark.pictures.table_rows import TablePart
from clip_spark.pictures.tars import TarPart

Part = FilesPart | TarPart | TablePart
"""`read()` yields its pictures in an order that depends on the part alone."""
