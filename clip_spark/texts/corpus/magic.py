"""*Pure.* What the first bytes of a file say that it is: packed, a table, an archive, or no text at all."""

from __future__ import annotations

import re
from contextlib import suppress

HEAD_BYTES = 64 << 10
"""So much of a file is looked at."""
COMPRESSIONS = (
    ("gzip", re.compile(rb"\x1f\x8b\x08")),
    ("bz2", re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")),
    ("xz", re.compile(rb"\xfd7zXZ\x00")),
    ("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")),
    ("lz4", re.compile(rb"\x04\x22\x4d\x18")),
)
PARQUET, ARROW, ARROW_STREAM, TAR, WARC = "parquet", "arrow", "arrow-stream", "tar", "warc"
FORMATS = (
    (PARQUET, re.compile(rb"PAR1")),
    (ARROW, re.compile(rb"ARROW1\x00\x00")),
    (ARROW_STREAM, re.compile(rb"\xff\xff\xff\xff..[\x00-\x3f]\x00.\x00\x00\x00", re.DOTALL)),
    (WARC, re.compile(rb"WARC/\d")),
)
FOREIGN = (
    ("a zip archive", re.compile(rb"PK(?:\x03\x04|\x05\x06|\x07\x08)")),
    ("an old Office document", re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")),
    ("a PDF", re.compile(rb"%PDF-")),
    ("a PNG picture", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("a JPEG picture", re.compile(rb"\xff\xd8\xff")),
    ("a GIF picture", re.compile(rb"GIF8[79]a")),
    ("a WebP picture", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("a sound or a film", re.compile(rb"RIFF....|ID3[\x02-\x04]|OggS|fLaC|\x1aE\xdf\xa3|....ftyp", re.DOTALL)),
    ("a TIFF picture", re.compile(rb"II\x2a\x00|MM\x00\x2a")),
    ("a 7-Zip archive", re.compile(rb"7z\xbc\xaf\x27\x1c")),
    ("a RAR archive", re.compile(rb"Rar!\x1a\x07")),
    ("compressed with snappy", re.compile(rb"\xff\x06\x00\x00sNaPpY")),
    ("compressed with Unix compress", re.compile(rb"\x1f\x9d")),
    ("compressed with lzip", re.compile(rb"LZIP\x01")),
    ("a feather file of version 1", re.compile(rb"FEA1")),
    ("an Avro file", re.compile(rb"Obj\x01")),
    ("a Hadoop sequence file", re.compile(rb"SEQ[\x04-\x06]")),
    ("an SQLite database", re.compile(rb"SQLite format 3\x00")),
    ("a numpy array", re.compile(rb"\x93NUMPY")),
    ("an HDF5 file", re.compile(rb"\x89HDF\r\n\x1a\n")),
    ("compressed with LZMA alone", re.compile(rb"\x5d\x00\x00[\x00-\xff]{2}(?:\xff{8}|[\x00-\xff]{5}\x00{3})\x00")),
    ("an ORC file", re.compile(rb"ORC(?=[\x00-\xff]{0,99}\x00)")),
    ("a pickle of Python", re.compile(rb"\x80[\x02-\x05](?:\x95[\x00-\xff]{8}|[\x5d\x7d\x63\x8c\x58(])")),
    ("a TFRecord file", re.compile(rb"[\x00-\xff]{3}\x00{5}[\x00-\xff]{4}\x0a")),
    ("a safetensors file", re.compile(rb"[\x00-\xff]{5}\x00{3}\{\"")),
    ("an RTF document", re.compile(rb"\{\\rtf\d")),
    ("a PostScript document", re.compile(rb"%!PS")),
    ("a pointer of Git LFS, not the file (`git lfs pull` fetches it)", re.compile(rb"version https://git-lfs\.")),
    ("a program", re.compile(rb"\x7fELF|\xca\xfe\xba\xbe|\x00asm")),
)
INSIDE_ZIP = (
    ("an Excel workbook", (b"xl/", b".xlsx")),
    ("a Word document", (b"word/",)),
    ("a PowerPoint presentation", (b"ppt/",)),
    ("an OpenDocument file", (b"mimetypeapplication/vnd.oasis",)),
    ("an EPUB book", (b"mimetypeapplication/epub",)),
    ("a numpy archive", (b".npy",)),
    ("a PyTorch file", (b"/data.pkl",)),
)
CONTROL = bytes(sorted(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b") | {127}))
"""Bytes that text hardly ever holds."""
ODD_SHARE, MOST_ODD_SHARE = 0.05, 0.5
"""Random bytes hold 10 % of them; small integers more, and may be UTF-8 by chance."""


def compression_of(head: bytes) -> str | None:
    """*Pure.* The compression that a file's first bytes tell, or None."""
    return next((name for name, pattern in COMPRESSIONS if pattern.match(head)), None)


def format_of(head: bytes) -> str | None:
    """*Pure.* The format that a file's first bytes tell, or None: it may be text."""
    return next((name for name, pattern in FORMATS if pattern.match(head)), TAR if is_tar(head) else None)


def foreign(head: bytes) -> str | None:
    """*Pure.* What a file is that holds nothing for us, in words; None if it may be text."""
    found = next((what for what, pattern in FOREIGN if pattern.match(head)), None)
    if found == "a zip archive":
        return next((what for what, names in INSIDE_ZIP if any(name in head for name in names)), found)
    return found


def is_tar(head: bytes) -> bool:
    """*Pure.* True for the header of a tar's member: its checksum is right, with or without a magic word."""
    block = head[:512]
    if len(block) < 512 or not block[0]:
        return False
    with suppress(ValueError):
        told = int(block[148:156].strip(b"\x00 ") or b"-", 8)
        return told == sum(block) - sum(block[148:156]) + 8 * 32
    return False


def is_binary(head: bytes) -> bool:
    """*Pure.* True if these bytes are no text in UTF-8 or in any encoding of single bytes."""
    if not head:
        return False
    odd = len(head) - len(head.translate(None, CONTROL))
    return odd > MOST_ODD_SHARE * len(head) or (odd > ODD_SHARE * len(head) and not _begins_as_utf8(head))


def _begins_as_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3 and len(head) >= HEAD_BYTES  # a character that the cut went through
    return True
