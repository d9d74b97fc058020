"""*Driver and worker.* Corpora: files of text in many formats, dealt out to tasks, read in blocks of lines."""

from clip_spark.texts.corpus.account import Account
from clip_spark.texts.corpus.formats import read_text
from clip_spark.texts.corpus.listing import (
    CorpusFile,
    Listing,
    Piece,
    Split,
    as_input,
    choose_split_bytes,
    list_corpus,
    plan_splits,
)
from clip_spark.texts.corpus.opening import is_damage, look
from clip_spark.texts.corpus.reading import lines_of, read_blocks

__all__ = [
    "Account",
    "CorpusFile",
    "Listing",
    "Piece",
    "Split",
    "as_input",
    "choose_split_bytes",
    "is_damage",
    "lines_of",
    "list_corpus",
    "look",
    "plan_splits",
    "read_blocks",
    "read_text",
]
