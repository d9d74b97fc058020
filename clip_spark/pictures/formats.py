"""*Pure.* What a file is, by its first bytes: picture formats that are read, and what else people have among pictures.

A name decides only where bytes cannot (an old TGA has no mark). Formats that are not listed are never handed to a
decoder: Pillow would open EPS through Ghostscript, and others through code that nobody needs here.
"""

from __future__ import annotations

from typing import NamedTuple

HEAD_BYTES = 512
"""So many first bytes tell all formats; the mark of a tar lies at 257."""

QUICK = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "PPM")
"""Decoders whose time and memory follow from the pixels; all others work in a process of their own, with limits."""

_PICTURES = """
jpg jpeg jpe jfif mpo png apng gif webp bmp dib tif tiff avif avifs heic heif hif jxl jp2 j2k jpx jpf j2c jpc ico tga
icb vda vst pbm pgm ppm pnm psd dds pcx qoi sgi rgb rgba bw ras
"""
_OTHERS = """
txt caption json jsonl ndjson csv tsv xml yaml yml toml md rst html htm css js py ipynb log ini cfg conf knn npy npz pt
pth ckpt bin safetensors index pkl pickle db sqlite lock tmp part crdownload sha256 md5 lnk url mp4 mov avi mkv webm mp3
wav flac pdf eps ps ai svg svgz wmf emf doc docx xls xlsx ppt pptx zip rar 7z gz bz2 xz zst cls xmp aae cr2 cr3 nef arw
dng orf rw2 raf exe dll so parquet pq tar tgz arrow feather ipc arrows
"""
PICTURE_ENDINGS = frozenset(_PICTURES.split())
"""Endings under which pictures go."""
KNOWN_OTHERS = frozenset(_OTHERS.split())
"""Endings of what is no picture, or is looked at elsewhere: such files are not opened to see what they hold."""


class Mark(NamedTuple):
    """Bytes at a place that tell a format."""

    at: int
    bytes: bytes
    format: str


MARKS = (
    Mark(0, b"\xff\xd8\xff", "JPEG"),
    Mark(0, b"\x89PNG\r\n\x1a\n", "PNG"),
    Mark(0, b"GIF87a", "GIF"),
    Mark(0, b"GIF89a", "GIF"),
    Mark(8, b"WEBP", "WEBP"),
    Mark(0, b"BM", "BMP"),
    Mark(0, b"II*\0", "TIFF"),
    Mark(0, b"MM\0*", "TIFF"),
    Mark(0, b"II+\0", "TIFF"),
    Mark(0, b"MM\0+", "TIFF"),
    Mark(0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    Mark(0, b"\xffO\xffQ", "JPEG2000"),
    Mark(0, b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
    Mark(0, b"\xff\n", "JXL"),
    Mark(0, b"8BPS", "PSD"),
    Mark(0, b"DDS ", "DDS"),
    Mark(0, b"qoif", "QOI"),
    Mark(0, b"\x01\xda", "SGI"),
    Mark(0, b"\x59\xa6\x6a\x95", "SUN"),
    Mark(0, b"\0\0\x01\0", "ICO"),
    *(Mark(0, b"P%d" % kind + space, "PPM") for kind in range(1, 7) for space in (b"\n", b" ", b"\r", b"\t")),
    *(Mark(0, b"\x0a%c\x01" % version, "PCX") for version in (0, 2, 3, 4, 5)),
)
BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"), "HEIF"),
}
"""Of ISO media files, which begin with a box `ftyp`; others of them are videos."""

OTHERS = (
    Mark(0, b"%PDF", "PDF"),
    Mark(0, b"%!PS", "EPS"),
    Mark(0, b"\xc5\xd0\xd3\xc6", "EPS"),
    Mark(0, b"PK\x03\x04", "a zip archive"),
    Mark(0, b"\x1f\x8b", "gzip"),
    Mark(0, b"BZh", "bzip2"),
    Mark(0, b"\xfd7zXZ\0", "xz"),
    Mark(0, b"\x28\xb5\x2f\xfd", "zstd"),
    Mark(0, b"version https://git-lfs.", "a pointer of Git LFS, not the file (`git lfs pull` fetches it)"),
    Mark(0, b"PAR1", "parquet"),
    Mark(0, b"ARROW1", "Arrow"),
    Mark(257, b"ustar", "tar"),
    Mark(4, b"ftyp", "a video"),
    Mark(0, b"\x1aE\xdf\xa3", "a video"),
)


def picture_format(data: bytes) -> str:
    """*Pure.* Pillow's name of the format of a picture file, or an empty string; `data` may be its first bytes."""
    if data[4:8] == b"ftyp" and (brand := _brand(data)):
        return brand
    for mark in MARKS:
        if data.startswith(mark.bytes, mark.at):
            return mark.format
    return "TGA" if _is_tga(data) else ""


def _brand(data: bytes) -> str:
    """The first brand that we know, the major one first: `mif1` alone says little, so AVIF's own comes before it."""
    length = min(int.from_bytes(data[:4], "big"), HEAD_BYTES)
    found = [BRANDS[data[at : at + 4]] for at in (8, *range(16, length, 4)) if data[at : at + 4] in BRANDS]
    return "AVIF" if "AVIF" in found else next(iter(found), "")


def _is_tga(data: bytes) -> bool:
    """By its header, which has no mark: map, kind and depth that exist, and a size."""
    if len(data) < 18:
        return False
    has_map, kind, depth = data[1], data[2], data[16]
    depths = {1: (8,), 9: (8,), 2: (16, 24, 32), 10: (16, 24, 32), 3: (8, 16), 11: (8, 16)}
    return depth in depths.get(kind, ()) and has_map == (kind in (1, 9)) and any(data[12:14]) and any(data[14:16])


def what_else(head: bytes) -> str:
    """*Pure.* What a file that is no picture holds, in words: HTML, PDF, tar, text; empty where nothing is known."""
    for mark in OTHERS:
        if head.startswith(mark.bytes, mark.at):
            return mark.format
    start = head[:HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<svg", b"<?xml")):
        return "SVG or XML"
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<body")):
        return "HTML"
    return "text" if start and is_text(head[:HEAD_BYTES]) else ""


def is_text(head: bytes) -> bool:
    """*Pure.* True if the bytes are UTF-8 without control characters; a character may be cut at the end."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return all(character >= " " or character in "\t\r\n\f" for character in text)


def ending(name: str) -> str:
    """*Pure.* `jpg` for `a/b.JPG`; empty where the last part of a name has no dot, or begins with its only one."""
    base = name.replace("\\", "/").rpartition("/")[2] if "/" in name else name
    stem, dot, found = base.rpartition(".")
    return found.lower() if dot and stem else ""
