"""*Driver and worker.* Corpora: files of text in many formats, dealt out to tasks, read in blocks of lines."""

from clip_spark.texts.corpus.formats import read_text
from clip_spark.texts.corpus.listing import (
    TEXT_ENDINGS,
    CorpusFile,
    Piece,
    Split,
    as_input,
    list_corpus,
    plain_name,
    plan_splits,
)
from clip_spark.texts.corpus.reading import is_damage, read_blocks, read_lines

__all__ = [
    "TEXT_ENDINGS",
    "CorpusFile",
    "Piece",
    "Split",
    "as_input",
    "is_damage",
    "list_corpus",
    "plain_name",
    "plan_splits",
    "read_blocks",
    "read_lines",
    "read_text",
]
