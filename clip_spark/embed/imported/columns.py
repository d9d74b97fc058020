"""*Pure.* Which of others' columns become id, address and text, and which stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import types

from clip_spark.datasets.record_schema import shaped, unify
from clip_spark.datasets.schema import RECORD_ID, own_name, record_id
from clip_spark.embed.imported.spec import AUTO, PICTURE, TEXT, ForeignSpec
from clip_spark.errors import InputError, SpecError, nearest
from clip_spark.texts.corpus.plain_types import plain_table, plain_type

EMBEDDING_NAMES = (
    "embedding",
    "embeddings",
    "image_embedding",
    "text_embedding",
    "clip_embedding",
    "image_embeddings",
    "vector",
    "vectors",
)
URI_NAMES = ("uri", "image_path", "url", "image_url", "img_url", "image_uri", "path", "file_name", "filename")
TEXT_NAMES = ("caption", "text", "prompt", "alt_text", "title")
"""In any case of letters; the first that is there."""
LINES, IDS = "line", "id"
"""What texts of lines, and ids of .npy files, are called until they are columns of records."""


@dataclass(frozen=True)
class Columns:
    """How records are made of others' columns; picklable.

    Attributes:
        modality: image or text.
        vectors: the column of vectors; empty where they lie in .npy files.
        id: the column that tells records apart; empty takes the place of the row.
        uri: the column of the address; empty if there is none.
        text: the column of the text or the caption; empty if there is none.
        kept: others' column -> its name in records.
        schema: of the records.
        left_out: columns that no record keeps: bytes, and further vectors.
    """

    modality: str
    vectors: str
    id: str
    uri: str
    text: str
    kept: tuple[tuple[str, str], ...]
    schema: pa.Schema
    left_out: tuple[str, ...] = ()

    def records(self, table: pa.Table, names: Sequence[str]) -> pa.Table:
        """*Worker.* Records of some rows, in order.

        Args:
            table: others' columns.
            names: of each row, where it comes from.
        """
        table = plain_table(table)
        own = table.column(self.id).cast(pa.string()).to_pylist() if self.id in table.column_names else names
        columns: dict[str, pa.Array | pa.ChunkedArray] = {
            RECORD_ID: pa.array([record_id(value) if value is not None else None for value in own], pa.string()),
            "kind": pa.array([self.modality] * len(names), pa.string()),
        }
        for target, source in (("uri", self.uri), (self.text_name, self.text)):
            if source in table.column_names:
                columns[target] = table.column(source).cast(pa.string())
        columns |= {name: table.column(source) for source, name in self.kept if source in table.column_names}
        made = pa.table(columns)
        return pa.Table.from_batches([shaped(batch, self.schema) for batch in made.to_batches()], self.schema)

    @property
    def text_name(self) -> str:
        """What the text is called in records."""
        return "caption" if self.modality == PICTURE else TEXT


def plan_columns(
    schemas: Sequence[tuple[str, pa.Schema]], spec: ForeignSpec, modality: str, vectors: str = ""
) -> Columns:
    """*Pure.* The columns of the records.

    Args:
        schemas: columns of the files, with the name of each; one with LINES or IDS where those lie beside the vectors.
        spec: what the user wants.
        modality: of the vectors; AUTO takes what the columns tell.
        vectors: the column of vectors, where they are in these files too.

    Raises:
        InputError: columns of different files do not fit together.
        SpecError: a column that was named is in none; or nothing tells whether these are images or texts.
    """
    plain = [(owner, _plain(columns, vectors)) for owner, columns in schemas]
    found, names = unify(plain), [name for _, columns in plain for name in columns.names]
    _check_named(spec, names)
    uri = spec.uri_column or _first(found, URI_NAMES)
    text = spec.text_column or (LINES if LINES in found.names else _first(found, TEXT_NAMES))
    identity = spec.id_column or (IDS if IDS in found.names and not vectors else "")
    if modality == AUTO:
        modality = _modality(vectors, uri, text)
    kept = _kept(found, modality, uri, text)
    fields = [(RECORD_ID, pa.string()), ("kind", pa.string())]
    fields += [("uri", pa.string())] if uri or modality == PICTURE else []
    fields += [("caption" if modality == PICTURE else TEXT, pa.string())] if text or modality == TEXT else []
    fields += [(name, found.field(source).type) for source, name in kept]
    everything = {name for _, columns in schemas for name in columns.names} - {vectors}
    return Columns(
        modality, vectors, identity, uri, text, kept, pa.schema(fields), tuple(sorted(everything - {*names}))
    )


def _plain(columns: pa.Schema, vectors: str) -> pa.Schema:
    """*Pure.* The columns that records can keep, of plain types."""
    fields = [field.with_type(plain_type(field.type)) for field in columns if field.name != vectors]
    fields = [field.with_type(pa.string()) if types.is_null(field.type) else field for field in fields]
    return pa.schema([field for field in fields if not types.is_binary(field.type) and not is_vector(field.type)])


def vector_column(schemas: Sequence[tuple[str, pa.Schema]], wanted: str) -> str:
    """*Pure.* The wanted column, or the one that holds vectors; raises InputError where a file has none."""
    owner, columns = schemas[0]
    found = [field.name for field in columns if is_vector(field.type)]
    name = wanted or next((name for name in EMBEDDING_NAMES if name in found), found[0] if len(found) == 1 else "")
    if not name:
        if found:
            several = f"several columns of vectors ({', '.join(found)})"
            raise InputError(f"'{owner}' has {several}; name the right one with --embedding-column.")
        known = ", ".join(f"{field.name}: {field.type}" for field in columns)[:300]
        raise InputError(f"'{owner}' has no column of vectors, which are lists of floats; it has {known}.")
    for uri, each in schemas:
        if name not in each.names or not is_vector(each.field(name).type):
            near = nearest(name, each.names)
            raise InputError(f"'{uri}' has no column '{name}' of lists of floats.{near}")
    return name


def is_vector(kind: pa.DataType) -> bool:
    """*Pure.* Whether a column's type is a list of floats."""
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return lists and types.is_floating(kind.value_type)


def _first(found: pa.Schema, names: Sequence[str]) -> str:
    """*Pure.* The first column of texts among these names, in any case of letters."""
    texts = {name.lower(): name for name in reversed(found.names) if types.is_string(found.field(name).type)}
    return next((texts[name] for name in names if name in texts), "")


def _check_named(spec: ForeignSpec, names: Sequence[str]) -> None:
    named = {"id-column": spec.id_column, "uri-column": spec.uri_column, "text-column": spec.text_column}
    for option, name in named.items():
        if name and name not in names:
            known = ", ".join(dict.fromkeys(names)) or "no columns"
            raise SpecError(f"--{option} is '{name}', and beside the vectors are {known}.{nearest(name, names)}")


def _modality(vectors: str, uri: str, text: str) -> str:
    for word in (PICTURE, TEXT):
        if word in vectors.lower():
            return word
    if uri or text:
        return PICTURE if uri else TEXT
    raise SpecError("Nothing tells whether these vectors are of pictures or of texts; say --modality image or text.")


def _kept(found: pa.Schema, modality: str, uri: str, text: str) -> tuple[tuple[str, str], ...]:
    """*Pure.* Columns of others and their names in records; a link stays under its own name too."""
    reserved = {RECORD_ID, "kind", "uri", "n", "parent_id", "caption" if modality == PICTURE else TEXT}
    taken = {text, uri if uri == "uri" else ""}
    return tuple((name, own_name(name, reserved)) for name in found.names if name not in taken)
