"""*Driver.* URIs of ours as Spark's own readers know them: another scheme where its file system has another name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clip_spark import storage
from clip_spark.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OTHER_NAMES = {"s3": "s3a", "gcs": "gs", "az": "abfss"}
"""EMR and Databricks read s3:// themselves; everywhere else Hadoop's client is called s3a."""


def spark_uris(spark: SparkSession, uris: Sequence[str]) -> list[str]:
    """*Driver.* The same files for `spark.read`; all URIs have one scheme.

    Raises:
        InputError: this Spark has no file system for them.
    """
    if not uris or storage.is_local(uris[0]):
        return [f"file://{storage.absolute(uri)}" for uri in uris]
    scheme = uris[0].split("://", 1)[0]
    for name in (scheme, OTHER_NAMES.get(scheme, "")):
        if name and _knows(spark, name):
            return [f"{name}://{uri.split('://', 1)[1]}" for uri in uris]
    raise InputError(
        f"This Spark has no file system for {scheme}:// (for S3 start it with --packages "
        "org.apache.hadoop:hadoop-aws); to_arrow() and batches() need none."
    )


def _knows(spark: SparkSession, scheme: str) -> bool:
    from py4j.protocol import Py4JJavaError

    jvm, context = spark.sparkContext._jvm, spark.sparkContext._jsc
    try:
        jvm.org.apache.hadoop.fs.FileSystem.getFileSystemClass(scheme, context.hadoopConfiguration())  # type: ignore[union-attr]
    except Py4JJavaError:
        return False
    return True
