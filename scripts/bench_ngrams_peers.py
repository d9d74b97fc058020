"""What count-ngrams is compared with: each function counts n-grams of the lines of text files and writes parquet.

The tokens are nltk's wordpunct tokens: runs of word characters, runs of the rest. Regular expressions of Rust, RE2
and Java call other characters word characters than Python's does, so each peer gets classes that are equal for
almost all characters; the few n-grams that differ (combining marks, white space like U+001C) are counted and reported.
"""

from __future__ import annotations

import glob
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

TOKEN = r"[\p{L}\p{N}_]+|[^\p{L}\p{N}_\s]+"
Orders = tuple[int, ...]


def files_of(corpus: str) -> list[str]:
    """The text files of a folder."""
    return sorted(glob.glob(f"{corpus}/*.txt"))


def lines_of(corpus: str) -> Iterator[str]:
    """All lines, in the order of the files."""
    for path in files_of(corpus):
        with open(path, encoding="utf-8", newline="\n") as stream:
            yield from stream


def ours(corpus: str, output: str, orders: Orders, least: int) -> dict[str, Any]:
    """count-ngrams as the command does it where nobody asks for Spark; the start of its processes is in the seconds."""
    from clip_spark.runtime.session import session_source
    from clip_spark.texts.ngrams.count import count_ngrams
    from clip_spark.texts.specs import CountSpec

    with suppress(ImportError):
        import matplotlib.figure  # noqa: F401 - count-ngrams draws its plots within the seconds that are measured
    spec = CountSpec(corpus=(corpus,), output=output, orders=orders, min_count=(least,), overwrite=True)
    return {"seconds": timed(lambda: count_ngrams(session_source("bench"), spec))}


def ours_on_spark(corpus: str, output: str, orders: Orders, least: int) -> dict[str, Any]:
    """count-ngrams in Spark's local mode; starting the session is timed apart."""
    from clip_spark.texts.ngrams.count import count_ngrams
    from clip_spark.texts.specs import CountSpec

    spark, session_seconds = start_spark()
    spec = CountSpec(corpus=(corpus,), output=output, orders=orders, min_count=(least,), overwrite=True)
    seconds = timed(lambda: count_ngrams(lambda: spark, spec))
    return {"seconds": seconds, "session_seconds": session_seconds, "shuffle_bytes": shuffle_bytes(spark)}


def start_spark() -> tuple[Any, float]:
    """A local session on all cores whose Python workers have their imports, and the seconds that took.

    The other peers' imports are not in their seconds either.
    """
    from clip_spark.runtime.session import get_session

    with suppress(ImportError):
        import matplotlib.figure  # noqa: F401 - count-ngrams draws its plots within the seconds that are measured
    started = time.perf_counter()
    spark = get_session("bench", "", {"spark.ui.enabled": "true", "spark.ui.port": "0"})
    context = spark.sparkContext

    def import_ours(_: int) -> None:  # nested: a worker cannot import this file
        import clip_spark.texts.ngrams.counting.passes  # noqa: F401

        time.sleep(1)  # so that each worker gets one of the tasks

    context.parallelize(range(context.defaultParallelism), context.defaultParallelism).foreach(import_ours)
    return spark, time.perf_counter() - started


def shuffle_bytes(spark: Any) -> int:
    """Bytes that all stages wrote for shuffles, as Spark's own REST interface tells them."""
    import json
    from urllib.request import urlopen

    context = spark.sparkContext
    with urlopen(f"{context.uiWebUrl}/api/v1/applications/{context.applicationId}/stages") as answer:
        return sum(stage["shuffleWriteBytes"] for stage in json.load(answer))


def timed(work: Any) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def polars(corpus: str, output: str, orders: Orders, least: int) -> dict[str, Any]:
    """One process, tokens exploded, n-grams as shifted columns of the same line."""
    return _by_polars(corpus, output, orders, least, "in-memory")


def polars_streaming(corpus: str, output: str, orders: Orders, least: int) -> dict[str, Any]:
    """The same by its engine that works in batches."""
    return _by_polars(corpus, output, orders, least, "streaming")


def _by_polars(corpus: str, output: str, orders: Orders, least: int, engine: Any) -> dict[str, Any]:
    import polars as pl

    started = time.perf_counter()
    lines = pl.LazyFrame({"line": [line.rstrip("\n") for line in lines_of(corpus)]}).with_row_index("row")
    pattern = TOKEN.replace(r"\s", r"\s\x1c-\x1f")
    tokens = (
        lines.with_columns(pl.col("line").str.to_lowercase().str.extract_all(pattern).alias("word"))
        .select("row", "word")
        .filter(pl.col("word").list.len() > 0)
        .explode("word")
        .collect(engine=engine)
    )
    for n in orders:
        words = [pl.col("word").shift(-i) for i in range(n)]
        same_line = pl.col("row") == pl.col("row").shift(-(n - 1))
        (
            tokens.lazy()
            .select(pl.concat_str(words, separator=" ").alias("text"), same_line.alias("whole"))
            .filter("whole")
            .group_by("text")
            .len("count")
            .filter(pl.col("count") >= least)
            .select(pl.lit(n, pl.Int32).alias("n"), "text", pl.col("count").cast(pl.Int64))
            .collect(engine=engine)
            .write_parquet(f"{output}/{n}.parquet")
        )
    return {"seconds": time.perf_counter() - started}


def duckdb(corpus: str, output: str, orders: Orders, least: int) -> dict[str, Any]:
    """One process, lists of tokens, n-grams as slices of the list."""
    import duckdb as db

    started = time.perf_counter()
    connection = db.connect()
    paths = ", ".join(f"'{path}'" for path in files_of(corpus))
    connection.execute(
        f"""create temp table lines as select regexp_extract_all(lower(line), '{TOKEN}') as words
        from (select unnest(string_split(content, chr(10))) as line from read_text([{paths}]))"""
    )
    for n in orders:
        shifted = " || ' ' || ".join(f"words[i + {k}]" for k in range(n))
        connection.execute(
            f"""copy (select {n}::int as n, text, count(*) as count
            from (select {shifted} as text from lines, unnest(range(1, len(words) - {n} + 2)) as r(i)
                  where len(words) >= {n})
            group by text having count(*) >= {least}) to '{output}/{n}.parquet' (format parquet)"""
        )
    return {"seconds": time.perf_counter() - started}


def expressions(corpus: str, output: str, orders: Orders, least: int) -> dict[str, Any]:
    """Spark SQL: arrays of tokens, slices, explode, group by text."""
    from pyspark.sql import functions as F

    spark, session_seconds = start_spark()

    def work() -> None:
        lines = spark.read.text(files_of(corpus), lineSep="\n")
        words = lines.select(F.expr(f"regexp_extract_all(lower(value), '{java_pattern()}', 0)").alias("words"))
        for n in orders:
            grams = f"transform(sequence(1, size(words) - {n - 1}), i -> array_join(slice(words, i, {n}), ' '))"
            texts = words.where(f"size(words) >= {n}").select(F.explode(F.expr(grams)).alias("text"))
            write(texts, n, least, output)

    return {"seconds": timed(work), "session_seconds": session_seconds, "shuffle_bytes": shuffle_bytes(spark)}


def mllib(corpus: str, output: str, orders: Orders, least: int) -> dict[str, Any]:
    """Spark MLlib: RegexTokenizer, NGram, explode, group by text."""
    from pyspark.ml.feature import NGram, RegexTokenizer
    from pyspark.sql import functions as F

    spark, session_seconds = start_spark()

    def work() -> None:
        lines = spark.read.text(files_of(corpus), lineSep="\n")
        split = RegexTokenizer(inputCol="value", outputCol="words", pattern=java_pattern(False), gaps=False)
        words = split.transform(lines).select("words")
        for n in orders:
            grams = NGram(n=n, inputCol="words", outputCol="grams").transform(words)
            write(grams.select(F.explode("grams").alias("text")), n, least, output)

    return {"seconds": timed(work), "session_seconds": session_seconds, "shuffle_bytes": shuffle_bytes(spark)}


def java_pattern(quoted: bool = True) -> str:
    """TOKEN for Java, with the control characters that Python calls white space."""
    pattern = r"[\p{L}\p{N}_]+|[^\p{L}\p{N}_\s\x1c-\x1f\x0b\x85\p{Z}]+"
    return pattern.replace("\\", "\\\\") if quoted else pattern


def write(texts: Any, n: int, least: int, output: str) -> None:
    """Group, cut, write."""
    from pyspark.sql import functions as F

    counts = texts.groupBy("text").count().where(F.col("count") >= least)
    counts.select(F.lit(n).alias("n"), "text", "count").write.parquet(f"{output}/{n}")


def sklearn(corpus: str, output: str, orders: Orders, least: int) -> dict[str, Any]:
    """CountVectorizer, one core, everything in memory; its min_df counts lines, so the cut is made afterwards."""
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    started = time.perf_counter()
    counter = CountVectorizer(token_pattern=r"\w+|[^\w\s]+", ngram_range=(min(orders), max(orders)))
    counts = np.asarray(counter.fit_transform(lines_of(corpus)).sum(axis=0)).ravel()
    names = {text: int(counts[column]) for text, column in counter.vocabulary_.items() if counts[column] >= least}
    save(Counter(names), output)
    return {"seconds": time.perf_counter() - started}


def nltk(corpus: str, output: str, orders: Orders, least: int) -> dict[str, Any]:
    """nltk's tokenizer and ngrams into a Counter, one core; the oracle."""
    from nltk.tokenize import wordpunct_tokenize
    from nltk.util import ngrams

    started = time.perf_counter()
    counts: Counter[str] = Counter()
    for line in lines_of(corpus):
        words = wordpunct_tokenize(line.lower())
        for n in orders:
            counts.update(map(" ".join, ngrams(words, n)))
    save(Counter({text: count for text, count in counts.items() if count >= least}), output)
    return {"seconds": time.perf_counter() - started}


def save(counts: Counter[str], output: str) -> None:
    """Write text -> count; a token holds no space, so the spaces tell the order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = list(counts)
    orders = pa.array([text.count(" ") + 1 for text in texts], pa.int32())
    pq.write_table(pa.table({"n": orders, "text": texts, "count": list(counts.values())}), f"{output}/all.parquet")


PEERS = {
    f.__name__: f for f in (ours, ours_on_spark, polars, polars_streaming, duckdb, expressions, mllib, sklearn, nltk)
}
