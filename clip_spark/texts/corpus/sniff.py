"""*Pure.* What a file is: decided by what it holds, then by its name.

The same rules hold for files, for members of tars and for what a compressed file holds.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from clip_spark.texts.corpus import magic
from clip_spark.texts.corpus.encodings import AUTO, UTF_8, detect

LINES, WIKI, JSON_LINES, JSON, CSV, FOREIGN = "text", "wiki", "json lines", "json", "csv", "foreign"
CUT_ANYWHERE = (LINES, WIKI, JSON_LINES)
"""Formats of lines that stand alone."""
NAMED = {
    ".txt": LINES,
    ".text": LINES,
    ".md": LINES,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".json": JSON_LINES,
    ".csv": CSV,
    ".tsv": CSV,
    ".tab": CSV,
    ".psv": CSV,
    ".parquet": magic.PARQUET,
    ".pq": magic.PARQUET,
    ".arrow": magic.ARROW,
    ".feather": magic.ARROW,
    ".tar": magic.TAR,
    ".wet": magic.WARC,
    ".warc": magic.WARC,
}
"""What the ending of a name says, where the bytes do not."""
BINARY = (magic.PARQUET, magic.ARROW, magic.TAR)
"""What no text can be."""
PACKED = {".gz": "gzip", ".gzip": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".zstd": "zstd", ".lz4": "lz4"}
SHORT = {".tgz": ".tar.gz", ".tbz": ".tar.bz2", ".tbz2": ".tar.bz2", ".txz": ".tar.xz", ".tzst": ".tar.zst"}
KEY = re.compile(r'(?:\[\s*)?\{\s*"(?:[^"\\\n]|\\.)*"\s*:')
"""Damaged or not, what begins so was meant to be JSON."""
PAGE = re.compile(rb"<doc (?:id|url|title)=[^\n]*>\r?\n")


@dataclass(frozen=True)
class Form:
    """What a file is.

    Attributes:
        format: one of NAMED, or FOREIGN for what holds no text that we read.
        compressions: how it is packed, the outermost first.
        encoding: of its characters.
        mark: bytes at its beginning that are no text.
        lone_cr: its lines end with a carriage return alone.
        what: a foreign file in words, such as "a PDF".
    """

    format: str
    compressions: tuple[str, ...] = ()
    encoding: str = UTF_8
    mark: int = 0
    lone_cr: bool = False
    what: str = ""

    @property
    def can_cut(self) -> bool:
        """*Pure.* True if lines can be read from the middle of the file."""
        return not (self.compressions or self.lone_cr) and self.encoding == UTF_8 and self.format in CUT_ANYWHERE

    def __str__(self) -> str:
        encoding = "" if self.encoding == UTF_8 or self.format in (magic.PARQUET, magic.ARROW) else self.encoding
        return ", ".join(filter(None, [self.what or self.format, *self.compressions, encoding]))


def split_name(name: str) -> tuple[str, str, tuple[str, ...]]:
    """*Pure.* (stem, ending, compressions) of a file's name: `a.json.gz` is ("a", ".json", ("gzip",))."""
    lowered = name.lower()
    lowered = next((lowered.removesuffix(s) + long for s, long in SHORT.items() if lowered.endswith(s)), lowered)
    packed: list[str] = []
    while (ending := _ending(lowered)) in PACKED:
        packed.append(PACKED[ending])
        lowered = lowered.removesuffix(ending)
    ending = _ending(lowered)
    return lowered.removesuffix(ending), ending, tuple(packed)


def _ending(name: str) -> str:
    stem, dot, rest = name.rpartition(".")
    return dot + rest if stem and rest.isalnum() else ""


def sniff(head: bytes, name: str, encoding: str = AUTO, compressions: tuple[str, ...] = ()) -> Form:
    """*Pure.* What a file is that begins so, after unpacking.

    Args:
        head: its first bytes; all of them, if it is shorter than HEAD_BYTES.
        name: its name.
        encoding: of its text, if the user says so.
        compressions: what it was unpacked from.
    """
    ending = split_name(name)[1]
    if found := magic.format_of(head):
        return Form(found, compressions)
    if what := magic.foreign(head):
        return Form(FOREIGN, compressions, what=what)
    codec, mark = detect(head, encoding)
    text = head[mark:] if codec == UTF_8 else head[mark:].decode(codec, "replace").encode()
    if encoding == AUTO and (magic.is_binary(text) or (b"\x00" in text and ending not in (*NAMED, ""))):
        return _binary(ending, compressions)
    lone_cr = b"\r" in text.rstrip(b"\r") and b"\n" not in text
    text = text.replace(b"\r", b"\n") if lone_cr else text
    found = _text_format(text, ending, len(head))
    if found in BINARY and head:
        return Form(FOREIGN, compressions, what=f"text and no {found}, whatever its name says")
    return Form(found, compressions, codec, mark, lone_cr)


def _binary(ending: str, compressions: tuple[str, ...]) -> Form:
    """*Pure.* Bytes that are no text: a damaged file of its name's format, or nothing that we know."""
    named = NAMED.get(ending, "")
    if named in (*BINARY, magic.WARC):
        return Form(named, compressions)
    return Form(FOREIGN, compressions, what="not text")


def _text_format(text: bytes, ending: str, head_bytes: int) -> str:
    named = NAMED.get(ending, LINES)
    start = text.lstrip()[:1]
    if start in (b"{", b"[") and (found := _json_format(text.decode("utf-8", "replace"), head_bytes, named != LINES)):
        return found
    if PAGE.match(text.lstrip()):
        return WIKI
    return named


def _json_format(text: str, head_bytes: int, is_named: bool) -> str:
    """*Pure.* Whether this is JSON: a value on each line, values in an array or over several lines, or none of it.

    A caption may begin with a bracket: under a name of text, an array that is seen to its end must be one.
    """
    text = text.lstrip()
    whole = head_bytes < magic.HEAD_BYTES
    lines = [line for line in text.splitlines() if line.strip()]
    complete = lines if whole else lines[:-1]
    if text[0] == "{" and complete and all(_is_object(line) for line in complete[:2]):
        return JSON_LINES
    inner = text[1:].lstrip() if text[0] == "[" else text
    if inner[:1] not in ("{", '"', "]", "["):
        return ""
    try:
        _, end = json.JSONDecoder().raw_decode(inner) if inner[:1] != "]" else ("", 1)
    except RecursionError:  # thousands of brackets are no JSON that anybody means
        return ""
    except ValueError:
        cut = not whole and re.match(r'\{\s*"', inner)
        return (JSON_LINES if text[0] == "{" and "}\n" in text else JSON) if cut or KEY.match(text) else ""
    if whole and not is_named and text[0] == "[" and not KEY.match(text) and not _is_json(text):
        return ""
    after = inner[end:].lstrip()[:1]
    fits = after in ("", ",", "]") if text[0] == "[" else after in ("", "{")
    return JSON if fits or inner[:1] == "{" else ""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
