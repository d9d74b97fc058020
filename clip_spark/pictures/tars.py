"""*Worker.* Pictures in webdataset tars: consecutive members with the same key make one sample.

A tar may be compressed whatever its name says, several may lie one behind the other, and it may be cut short: what was
read before is kept, and the rest is one reject.
"""

from __future__ import annotations

import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from clip_spark import storage
from clip_spark.errors import ClipSparkError, StorageError
from clip_spark.pictures.formats import HEAD_BYTES, PICTURE_ENDINGS, ending, picture_format, what_else
from clip_spark.pictures.hosts import asked
from clip_spark.pictures.items import Item, LeftOut, Picture, Unreadable, unreachable, with_texts
from clip_spark.pictures.plain_text import printable

BLOCK = tarfile.BLOCKSIZE
COMPRESSIONS = ((b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"))
DAMAGED, NOT_TAR = "damaged tar", "not a tar"
SPOOL_BYTES = 64 << 20
"""A compressed tar is unpacked first, into memory up to so many bytes, else to disk: links go back in it."""
TEXTS = ("txt", "caption")


class NotTarError(tarfile.ReadError):
    """A file that is something else from its beginning on, such as the page of an error."""


@dataclass(frozen=True)
class TarPart:
    """One webdataset tar; in one of ours the keys are record ids."""

    uri: str
    own: bool = False

    def read(self) -> Iterator[Item]:
        """The pictures in the order of the tar, and what else it holds; a damaged rest is one Unreadable."""
        sample = TarSample(self.uri, own=self.own)
        try:
            for found in self.members():
                if isinstance(found, LeftOut):
                    yield found
                    continue
                if (key := split_key(found.name)[0]) != sample.key:
                    yield from sample.items()
                    sample = TarSample(self.uri, key, own=self.own)
                sample.members.append(found)
        except FileNotFoundError:
            yield Unreadable(self.uri, "missing", "the file does not exist")
        except StorageError as error:
            yield unreachable(self.uri, self.uri, error)
        except NotTarError as error:
            yield Unreadable(self.uri, NOT_TAR, str(error))
        except Exception as error:
            if not is_damage(error):
                raise
            sample.complete = False
            yield from sample.items()
            yield Unreadable(self.uri, DAMAGED, f"{error}; the rest of the tar is lost")
            return
        yield from sample.items()

    def members(self) -> Iterator[Member | LeftOut]:
        """The files in it, one by one; raises what damage raises."""
        seen: dict[str, tarfile.TarInfo] = {}
        with _opened(self.uri) as (stream, is_plain):
            for tar in _archives(stream):
                for info in tar:
                    if (odd := _left_out(info, seen)) is not None:
                        yield odd
                        continue
                    seen[info.name] = stored = _stored(info, seen)
                    offset = stored.offset_data if is_plain and not stored.issparse() else None
                    yield Member(printable(info.name), _member_bytes(tar, stored), offset)
        if not seen:
            yield LeftOut("tar", "a tar without files")


def is_damage(error: Exception) -> bool:
    """*Pure.* Whether bytes are to blame, and not a disk, a store or a machine: those may do better next time."""
    return not isinstance(error, (ClipSparkError, MemoryError)) and getattr(error, "errno", None) is None


@contextmanager
def _opened(uri: str) -> Iterator[tuple[IO[bytes], bool]]:
    """The bytes of a tar, decompressed as its first bytes say, and whether they lie in the file as they are.

    Raises at its end what a decompressor raised: what it gave before is read first.
    """
    with asked(uri), storage.open_read(uri) as stream:
        head = stream.read(8)
        stream.seek(0)
        kind = next((name for mark, name in COMPRESSIONS if head.startswith(mark)), None)
        if kind is None:
            yield stream, True
            return
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as whole:
            error = _unpack(storage.unpack(stream, kind), whole)
            whole.seek(0)
            yield whole, False
            if error is not None:
                raise error


def _unpack(packed: IO[bytes], whole: IO[bytes]) -> Exception | None:
    try:
        shutil.copyfileobj(packed, whole, BLOCK)  # a larger read that meets the damage loses what came before it
    except Exception as error:  # noqa: BLE001 - each decompressor has an own kind
        return error
    return None


def _archives(stream: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """The tars that lie one behind the other, as `cat` leaves them; the first may be empty.

    Raises:
        tarfile.TarError: what follows is no tar. tarfile itself takes any damage after the first member for the end.
    """
    at = 0
    while True:
        stream.seek(at)
        with _open_tar(stream, at) as tar:
            yield tar
            at = tar.offset
        block = _next_block(stream, at)
        if block is None:
            return
        if block == at:  # the header there stopped tarfile
            raise tarfile.ReadError(f"no header of a member at byte {at:,}")
        at = block


def _open_tar(stream: IO[bytes], at: int) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=stream, mode="r:")
    except tarfile.ReadError as error:
        stream.seek(0)
        what = "" if at else what_else(stream.read(HEAD_BYTES))
        if what and what != "tar":
            raise NotTarError(f"it holds {what}") from error
        raise


def _next_block(stream: IO[bytes], at: int) -> int | None:
    """Where the first block that is not zero begins, from `at` on; None at the end of the file."""
    stream.seek(at)
    while block := stream.read(BLOCK):
        if block.count(0) != len(block):
            return at
        at += len(block)
    return None


def _left_out(member: tarfile.TarInfo, seen: Mapping[str, tarfile.TarInfo]) -> LeftOut | None:
    """Why a member is no part of a sample; a second one of a name would be the same record."""
    name = member.name.rpartition("/")[2]
    if member.isdir():
        return LeftOut("folder", "an entry for a folder in a tar")
    if name.startswith(".") or "__MACOSX/" in member.name:
        return LeftOut(ending(name), "hidden, or macOS' own, in a tar")
    if not (member.isfile() or member.islnk()):
        return LeftOut(ending(name), "a link or device in a tar")
    if member.name in seen:
        return LeftOut(ending(name), "the same name twice in a tar")
    return None


def _stored(member: tarfile.TarInfo, seen: Mapping[str, tarfile.TarInfo]) -> tarfile.TarInfo:
    """The member whose bytes these are: itself, or the one before it that it is a hard link to."""
    if not member.islnk():
        return member
    if member.linkname not in seen:
        raise tarfile.ReadError(f"'{printable(member.name)}' links to a member that is not before it")
    return seen[member.linkname]


def _member_bytes(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    data = stream.read() if stream is not None else b""
    if len(data) < member.size:
        raise EOFError(f"'{printable(member.name)}' is cut short")
    return data


@dataclass
class Member:
    """A file of a tar: its name, bytes, and where they begin in the tar's file (None where they do not)."""

    name: str
    data: bytes
    offset: int | None

    @property
    def is_picture(self) -> bool:
        """By its ending; by its bytes where it has none."""
        found = ending(self.name)
        return found in PICTURE_ENDINGS or (not found and bool(picture_format(self.data)))

    @property
    def is_text(self) -> bool:
        """A caption, or metadata."""
        return ending(self.name) in (*TEXTS, "json")


@dataclass
class TarSample:
    """The members of one key, as webdataset cuts it: at the first dot of a name.

    Where one key has several pictures (`0.left.png`, `0.right.png`), each is a sample of its own with the texts of its
    own name, and else with those of the key.
    """

    tar: str
    key: str = ""
    members: list[Member] = field(default_factory=list)
    complete: bool = True
    own: bool = False

    def items(self) -> Iterator[Item]:
        """All pictures of the sample; a sample with texts and without a picture is an Unreadable."""
        pictures = [member for member in self.members if member.is_picture]
        for number, member in enumerate(pictures):
            yield self._picture(member, number, len(pictures) > 1)
        texts = [member for member in self.members if member.is_text]
        if texts and not pictures and self.complete:
            yield Unreadable(f"tar://{printable(self.key)}::{self.tar}", "no picture", "the sample holds no picture")
        for member in self.members:
            if not member.is_picture and not member.is_text:
                yield LeftOut(ending(member.name), "no picture, caption or metadata, in a tar")

    def _picture(self, member: Member, number: int, is_one_of_many: bool) -> Picture:
        uri = f"tar://{member.name}::{self.tar}"
        notices = ("of a key that has several, as samples of their own",) if is_one_of_many else ()
        record_id = self.key if self.own else ""
        found = Picture(uri, member.data, offset=member.offset, notices=notices, record_id=record_id)
        stem = member.name.rpartition(".")[0] if is_one_of_many else ""
        return with_texts(found, self._text(TEXTS, stem), self._text(("json",), stem))

    def _text(self, endings: tuple[str, ...], stem: str) -> str | None:
        """The text of the sample; of one of several pictures that of its own name, else that of the key."""
        texts = [member for member in self.members if ending(member.name) in endings]
        own = [member for member in texts if member.name.rpartition(".")[0] == stem] if stem else texts
        shared = [member for member in texts if member.name.rpartition(".")[0] == printable(self.key)]
        found = next(iter(own or shared), None)
        return storage.decode_text(found.data).strip() if found else None


def split_key(name: str) -> tuple[str, str]:
    """*Pure.* webdataset's key and lower-case suffix: the name is cut at the first dot of its last part."""
    folder, slash, base = name.rpartition("/")
    key, _, suffix = base.partition(".")
    return folder + slash + key, suffix.lower()


def split_uri(uri: str) -> tuple[str, str]:
    """*Pure.* The member and the tar of `tar://member::tar`; both may hold `::` themselves."""
    name, *rest = re.split(r"::(?=/|[a-z0-9+.-]+://)", uri.removeprefix("tar://"), maxsplit=1)
    return name, rest[0] if rest else ""


def read_member(uri: str) -> bytes:
    """*Worker.* The bytes of `tar://name::tar` where no offset is known, such as in a compressed tar: read to there.

    Raises:
        KeyError: there is no such member.
    """
    name, tar = split_uri(uri)
    for found in TarPart(tar).members():
        if isinstance(found, Member) and found.name == name:
            return found.data
    raise KeyError(name)
