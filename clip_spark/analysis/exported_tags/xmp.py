"""*Pure.* Tags in XMP: new packets, and words added to the `dc:subject` of one that is there; all other bytes stay.

The packet of somebody else is not written anew from a tree: a parser says where words belong, and they are put there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from clip_spark.errors import Rejected

RDF, DC = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://purl.org/dc/elements/1.1/"
ROOT, DESCRIPTION, ITEM, SUBJECT = f"{RDF} RDF", f"{RDF} Description", f"{RDF} li", f"{DC} subject"
LISTS = tuple(f"{RDF} {name}" for name in ("Bag", "Seq", "Alt"))
ENCODINGS = ("utf-8", "us-ascii")
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TAG_END = re.compile(rb"""<[^>"']*(?:"[^"]*"[^>"']*|'[^']*'[^>"']*)*>""")

NEW = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    f' <rdf:RDF xmlns:rdf="{RDF}">\n  <rdf:Description rdf:about="">%s\n  </rdf:Description>\n </rdf:RDF>\n'
    '</x:xmpmeta>\n<?xpacket end="w"?>\n'
)


def add_words(before: bytes, words: Sequence[str]) -> bytes:
    """*Pure.* A packet with these words among its `dc:subject`, behind those that it has; the same bytes if it has all.

    Args:
        before: the packet or the sidecar; empty makes a new one.
        words: in order; each is added once.

    Raises:
        Rejected: it is no XMP in UTF-8, so nobody knows what a change would do to it.
    """
    wanted = list(dict.fromkeys(word for word in (NO_XML.sub("", each) for each in words) if word))
    if not before:
        return (NEW % _subject(wanted)).encode() if wanted else b""
    found = _Places(before)
    new = [word for word in wanted if word not in found.words]
    if not new:
        return before
    return found.with_words(new)


def _subject(words: Sequence[str]) -> str:
    items = f'<rdf:Bag xmlns:rdf="{RDF}">{_items(words)}\n    </rdf:Bag>'
    return f'\n   <dc:subject xmlns:dc="{DC}">\n    {items}\n   </dc:subject>'


def _items(words: Sequence[str]) -> str:
    return "".join(f'\n     <rdf:li xmlns:rdf="{RDF}">{escape(word)}</rdf:li>' for word in words)


class _Places:
    """Where words are and can be in a packet.

    Attributes:
        words: of `dc:subject`.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._path, self._starts = data, list[str](), list[int]()
        self._text: list[str] = []
        self.words: set[str] = set()
        self._list_at = self._subject_at = self._description_at = -1
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.XmlDeclHandler = self._declared
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._begins
        self._parser.EndElementHandler = self._ends
        self._parser.CharacterDataHandler = self._text.append
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise Rejected("XMP of another encoding", "only XMP in UTF-8 is changed")
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            raise Rejected("damaged XMP", f"{error}") from error
        if self._description_at < 0 and self._list_at < 0:
            raise Rejected("damaged XMP", "there is no rdf:Description in it")
        if self._subject_at >= 0 and self._list_at < 0:
            raise Rejected("damaged XMP", "its dc:subject is no list")

    def with_words(self, words: Sequence[str]) -> bytes:
        """The packet with new words behind the others."""
        if self._list_at >= 0:
            return self._inserted(self._list_at, _items(words))
        return self._inserted(self._description_at, _subject(words))

    def _inserted(self, at: int, text: str) -> bytes:
        """`text` before the end tag at `at`; an element that is closed in itself is opened."""
        data, found = self._data, TAG_END.match(self._data, at)
        if found is None:
            raise Rejected("damaged XMP", "an element has no end")
        if data[at : at + 2] == b"</":
            return data[:at] + text.encode().lstrip(b"\n") + b"\n" + data[at:]
        name = re.match(rb"<([^\s/>]+)", data[at : found.end()])
        if name is None or not found[0].endswith(b"/>"):
            raise Rejected("damaged XMP", "an element has no end")
        opened = found[0][:-2] + b">" + text.encode() + b"\n</" + name[1] + b">"
        return data[:at] + opened + data[found.end() :]

    def _declared(self, _version: Any, encoding: str | None, _alone: Any) -> None:
        if encoding and encoding.lower() not in ENCODINGS:
            raise Rejected("XMP of another encoding", f"it is in {encoding}; only XMP in UTF-8 is changed")

    def _doctype(self, *_: Any) -> None:
        raise Rejected("damaged XMP", "it declares entities, as no XMP does")

    def _begins(self, name: str, _attributes: Any) -> None:
        self._path.append(name)
        self._starts.append(self._parser.CurrentByteIndex)
        self._text.clear()

    def _ends(self, name: str) -> None:
        start, inside = self._starts.pop(), self._path[:-1]
        tag = TAG_END.match(self._data, start)
        at = start if tag and tag[0].endswith(b"/>") else self._parser.CurrentByteIndex  # it is closed in itself
        in_subject = inside[-3:-1] == [ROOT, DESCRIPTION] and inside[-1] == SUBJECT
        if name in LISTS and in_subject:
            self._list_at = at
        elif name == ITEM and len(inside) > 1 and inside[-1] in LISTS and inside[-2] == SUBJECT:
            self.words.add("".join(self._text).strip())
        elif name == SUBJECT and inside[-2:] == [ROOT, DESCRIPTION]:
            self._subject_at = at
        elif name == DESCRIPTION and inside[-1:] == [ROOT] and self._description_at < 0:
            self._description_at = at
        self._path.pop()
        self._text.clear()
