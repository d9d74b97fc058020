"""*Driver.* A column that no file has is a slip of the pen: found before any work, where columns can be known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from clip_spark.errors import InputError, nearest
from clip_spark.texts.corpus import Account, CorpusFile, is_damage, sniff
from clip_spark.texts.corpus.csv_rows import CsvRows
from clip_spark.texts.corpus.formats import TABLES, is_texts
from clip_spark.texts.corpus.json_rows import Row, dig, line_values, stream_values
from clip_spark.texts.corpus.opening import Source, open_source
from clip_spark.texts.corpus.reading import lines_of, stream_blocks
from clip_spark.texts.corpus.sniff import split_name
from clip_spark.texts.corpus.tables import table_schema
from clip_spark.texts.record_columns import find_keys, type_inside

MOST_FILES, READ_THREADS = 1000, 32
WHOLE_BYTES = 8 << 20
"""A file of JSON up to this is read as a whole for its keys: any row may have keys of its own."""


def check_text_field(files: Sequence[CorpusFile], field: str, encoding: str) -> None:
    """*Driver.* Refuse a name that no file of a corpus knows; the first file that has it, or has no columns, ends this.

    Raises:
        InputError: all files have columns, and none is called so.
    """
    some = [file for file in files if file.bytes]
    if not some or len(some) > MOST_FILES or (first := _known(some[0], field, encoding)) is None:
        return
    with ThreadPoolExecutor(READ_THREADS) as pool:
        known = [first, *pool.map(lambda file: _known(file, field, encoding), some[1:])]
    names = list(dict.fromkeys(name for found in known if found for name in found))
    if not names or any(found is None for found in known):
        return
    where = f"'{some[0].uri}' has no" if len(some) == 1 else f"None of {len(some):,} files has a"
    raise InputError(
        f"{where} column '{field}' (there are {', '.join(names[:20])}); name the right one with --text-field."
        f"{nearest(field, names)}"
    )


def _known(file: CorpusFile, field: str, encoding: str) -> list[str] | None:
    """*Driver.* The columns of a file that surely lacks the field; None of any other, none of one that is damaged."""
    try:
        with open_source(file.uri, encoding) as source:
            return _columns_without(source, field, file.bytes)
    except Exception as error:
        if not is_damage(error):
            raise
        return []


def _columns_without(source: Source, field: str, size: int) -> list[str] | None:
    form = source.form.format
    if form == sniff.FOREIGN:
        return []
    if form in TABLES and not (source.form.compressions and size > WHOLE_BYTES):
        schema = table_schema(source.seekable(), form)
        return None if _leads_to(schema, field) else schema.names
    if form == sniff.CSV:
        names = CsvRows(source.stream, split_name(source.name)[1], field).names
        return None if find_keys(field, "text", names) else names
    if form in (sniff.JSON, sniff.JSON_LINES) and size <= WHOLE_BYTES:
        is_lines = form == sniff.JSON_LINES
        lines = lines_of(stream_blocks(source.stream)) if is_lines else ()
        read = line_values(lines, source.uri, Account()) if is_lines else stream_values(source.stream, "", Account())
        return _keys_without(read, field)
    return None


def _leads_to(schema: pa.Schema, field: str) -> bool:
    keys = find_keys(field, "text", schema.names)
    return keys is not None and type_inside(schema.field(keys.top).type, keys.inside)[0] is not None


def _keys_without(rows: Iterable[Row], field: str) -> list[str] | None:
    keys: dict[str, None] = {}
    for _, value in rows:
        if isinstance(value, str) or is_texts(value) or dig(value, field) not in (None, []):
            return None
        keys |= dict.fromkeys(value if isinstance(value, dict) else ())
    return None if field in keys else list(keys)  # it is there, and always null: that is no slip
