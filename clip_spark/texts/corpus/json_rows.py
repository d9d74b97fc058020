"""*Worker.* Rows of JSON: a value on each line, the elements of an array, or values one behind the other.

Read as a stream: memory holds one row, whatever the file. A row that is not JSON is rejected; in an array the next row
is found by its indentation, and where there is none the rest of the file is the reject.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from clip_spark.texts.corpus.account import DAMAGED, Account, at_row

Row = tuple[int, Any]
"""Its number, from 1, and its value."""
READ_BYTES = 256 << 10
MOST_ROW_CHARACTERS = 256 << 20
NOT_JSON = "not JSON"
NEAR_END = 16
"""An error so near the end of what was read may be the end's: a number, a word or an escape cut in two."""
WHITE = re.compile(r"[\s,\x1e\ufeff]*")
KINDS = ((bool, "true or false"), ((int, float), "a number"), (str, "text"), (dict, "an object"), (list, "a list"))
DECODER = json.JSONDecoder()


def line_values(lines: Iterable[bytes], uri: str, account: Account) -> Iterator[Row]:
    """*Worker.* The values of JSON lines; blank lines are none."""
    for row, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield row, json.loads(line)
        except (ValueError, RecursionError) as error:
            account.reject(at_row(uri, row), NOT_JSON, str(error))


class _Text:
    """*Worker.* The part of a stream that is being parsed."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._bytes = READ_BYTES
        self.text, self.at, self.ended = "", 0, False

    def more(self) -> bool:
        """Read on, twice as much each time that a row needs it; False at the end."""
        if self.ended:
            return False
        data = self._stream.read(self._bytes)
        self.ended = not data
        self.text = self.text[self.at :] + self._decoder.decode(data, not data)
        self.at = 0
        self._bytes = min(2 * self._bytes, 64 * READ_BYTES)
        return True

    def skip_white(self) -> str:
        """Go to the next character that matters; returns it, or nothing at the end."""
        while True:
            self.at = WHITE.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text) or not self.more():
                return self.text[self.at : self.at + 1]

    def value(self) -> Any:
        """The JSON value that begins here; raises ValueError where there is none."""
        while True:
            try:
                found, end = DECODER.raw_decode(self.text, self.at)
            except (ValueError, RecursionError) as error:
                if not self._may_be_cut(error) or not self.more():
                    raise
                continue
            if end == len(self.text) and self.more():  # 12 may go on as 123
                continue
            self.at = end
            self._bytes = READ_BYTES
            return found

    def _may_be_cut(self, error: Exception) -> bool:
        if not isinstance(error, json.JSONDecodeError) or len(self.text) - self.at > MOST_ROW_CHARACTERS:
            return False
        return error.msg.startswith("Unterminated string") or error.pos >= len(self.text) - NEAR_END

    def margin(self) -> str | None:
        """What stands before the row on its line, if it is nothing but white space and the row is no first one."""
        before = self.text[self.text.rfind("\n", 0, self.at) + 1 : self.at]
        return before if not before.strip() else None

    def go_to(self, what: str) -> bool:
        """Go to the next place where a text stands, if there is one."""
        self.at += 1
        while (place := self.text.find(what, self.at)) < 0:
            self.at = max(self.at, len(self.text) - len(what))
            if not self.more():
                return False
        self.at = place
        return True


def stream_values(stream: Any, uri: str, account: Account) -> Iterator[Row]:
    """*Worker.* The elements of JSON arrays, and objects that stand outside of one, in order."""
    text = _Text(stream)
    row, in_array = 0, False
    while found := text.skip_white():
        if found == "[" and not in_array:
            text.at, in_array = text.at + 1, True
            continue
        if found == "]" and in_array:
            text.at, in_array = text.at + 1, False
            continue
        row += 1
        margin = text.margin()
        try:
            value = text.value()
        except (ValueError, RecursionError) as error:
            if margin is None or not text.go_to(f"\n{margin}{{"):
                account.reject(at_row(uri, row), DAMAGED, f"{error}; the rest of the file is lost")
                return
            account.reject(at_row(uri, row), NOT_JSON, str(error))
            continue
        yield row, value
    if in_array:
        account.reject(at_row(uri, row + 1), DAMAGED, "the file ends within its array")


def dig(value: Any, field: str) -> Any:
    """*Pure.* `value["a"]["b"]` for the field `a.b`, or what the key `a.b` itself holds; None if it is not there.

    Of a list it is what its elements hold, as a list. A text that is JSON is what it says, as in a column of a CSV.
    """
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if isinstance(value, list):
        found = [dig(item, field) for item in value]
        return [text for item in found if item is not None for text in (item if isinstance(item, list) else [item])]
    if not isinstance(value, dict):
        return None
    if field in value:
        return value[field]
    for at, character in enumerate(field):
        if character == "." and field[:at] in value:
            return dig(value[field[:at]], field[at + 1 :])
    return None


def keys_of(value: Any) -> str:
    """*Pure.* The keys of a row, for a message."""
    if not isinstance(value, dict):
        return f"the row is {kind_of(value)}"
    return f"the keys are {', '.join(list(value)[:20])}" if value else "the row has no keys"


def kind_of(value: Any) -> str:
    """*Pure.* What a value is, in words."""
    return next((words for kind, words in KINDS if isinstance(value, kind)), type(value).__name__)
