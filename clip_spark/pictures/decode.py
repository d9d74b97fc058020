"""*Worker.* Bytes to a loaded picture, or Rejected with a reason; never a hang, never a crash of the task.

The format is told by the bytes, and only that one decoder of Pillow's is tried. Formats whose decoders can take much
time or memory for few bytes are decoded in a process of their own, with a limit for both.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from clip_spark.errors import Rejected
from clip_spark.pictures import careful
from clip_spark.pictures.depth import to_8_bits
from clip_spark.pictures.formats import HEAD_BYTES, QUICK, picture_format, what_else
from clip_spark.pictures.look import AS_STORED, Look

if TYPE_CHECKING:
    from PIL.Image import Image, Transpose

MOST_BYTES = 256 << 20
MOST_PIXELS = 100_000_000
"""Larger pictures are bombs or scans: decoded they take 300 MB and seconds each."""
DENSE_FORMATS = ("JPEG2000", "AVIF", "HEIF", "JXL")
DENSE_PIXELS, PIXELS_PER_BYTE = 4_000_000, 1000
"""Their decoders take up to 40 bytes for a pixel; a larger picture with more pixels for a byte shows nothing at all."""
MOST_SCANS = 64
"""A progressive JPEG has about ten, and each goes over all pixels; with more it is decoded carefully."""
PLUGINS = {"HEIF": ("pillow_heif", "HEIC"), "JXL": ("pillow_jxl", "JPEG XL")}
"""Format -> the package that reads it, and its name among people."""
CUT_SHORT = "cut short"
"""Pictures that end too early are rejects, as Pillow and open_clip have them: what is missing would be grey."""
TURNED, LAID = "turned as EXIF says", "transparent, laid on a background"
TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""EXIF's orientation -> what sets it right."""


@dataclass(frozen=True)
class Decoded:
    """A picture in memory.

    Attributes:
        image: 8 bits per channel, as the look wants it.
        size: (width, height) in pixels as it is stored: before turning, before a smaller decode.
        format: Pillow's name of its format.
        notices: what was done to it that somebody may want to know; counted.
    """

    image: Image
    size: tuple[int, int]
    format: str
    notices: tuple[str, ...] = ()


def open_picture(data: bytes, look: Look = AS_STORED) -> Image:
    """*Worker.* The decoded picture (first frame of an animation); raises Rejected."""
    return decode(data, look).image


def decode(data: bytes, look: Look = AS_STORED, at_least: int = 0) -> Decoded:
    """*Worker.* Decode the first frame of a picture file, carefully where its format asks for that.

    Args:
        data: the encoded bytes.
        look: orientation and background.
        at_least: if not 0, a JPEG may be decoded at 1/2, 1/4 or 1/8 as long as both sides keep so many pixels.

    Raises:
        Rejected: empty, not a picture, truncated, too large, or it takes too long.
    """
    format = check_bytes(data)
    if format in QUICK and not (format == "JPEG" and scans(data) > MOST_SCANS):
        return decode_here(data, look, at_least)
    return careful.call(decode_apart, (data, look))


def scans(data: bytes) -> int:
    """*Pure.* How many scans a JPEG has at most; `bytes.count` of two bytes takes four times as long."""
    values = np.frombuffer(data, np.uint8)
    return int(np.count_nonzero((values[:-1] == 0xFF) & (values[1:] == 0xDA)))


def decode_apart(item: tuple[bytes, Look]) -> Decoded:
    """*Worker.* In a child process: as `decode_here`, with a picture that can be sent."""
    warnings.simplefilter("ignore")
    found = decode_here(*item)
    plain = found.image.copy()  # of no file format's class, and without its open stream
    plain.info = {}
    return replace(found, image=plain)


def check_bytes(data: bytes) -> str:
    """*Pure.* The format of a picture file; raises Rejected, with what it is instead, for anything else."""
    if not data:
        raise Rejected("empty", "the file has no bytes")
    if len(data) > MOST_BYTES:
        raise Rejected("too many bytes", f"{len(data):,} bytes; at most {MOST_BYTES:,} are decoded")
    format = picture_format(data)
    if not format:
        other = what_else(data[:HEAD_BYTES])
        raise Rejected("not a picture", f"it holds {other}" if other else "no known picture format")
    return format


def decode_here(data: bytes, look: Look, at_least: int = 0) -> Decoded:
    """*Worker.* Decode in this process; raises Rejected."""
    format = check_bytes(data)
    try:
        return _load(data, format, look, at_least)
    except Rejected:
        raise
    except MemoryError as error:
        raise Rejected("too many pixels", f"the decoder of {format} wants more memory than it may have") from error
    except Exception as error:
        if type(error).__name__ == "DecompressionBombError":
            raise Rejected("too many pixels", str(error)) from error
        reason = CUT_SHORT if "truncated" in str(error).lower() else "damaged"
        raise Rejected(reason, f"{type(error).__name__}: {error}") from error


def _load(data: bytes, format: str, look: Look, at_least: int) -> Decoded:
    from PIL import UnidentifiedImageError

    try:
        image = _open(data, format)
    except UnidentifiedImageError as error:
        why = f"it begins like {format}, but Pillow cannot open it: damaged, or a kind of {format} that is not read"
        raise Rejected("damaged", why) from error
    size = image.size
    check_size(*size)
    if format in DENSE_FORMATS and size[0] * size[1] > max(DENSE_PIXELS, PIXELS_PER_BYTE * len(data)):
        raise Rejected("too many pixels", f"{size[0]} x {size[1]} pixels of {format} in {len(data):,} bytes")
    if at_least:
        image.draft(None, (at_least, at_least))
    image.load()
    check_size(*image.size)  # an icon's directory may tell another size than the picture in it
    shown, notices = as_seen(to_8_bits(image), look)
    return Decoded(shown, size, format, notices)


def _open(data: bytes, format: str) -> Image:
    """*Worker.* An opened picture, not decoded yet, by the one decoder that its bytes ask for."""
    from PIL import Image, PngImagePlugin

    _load_plugin(format)
    PngImagePlugin.MAX_TEXT_CHUNK = MOST_BYTES  # texts of image generators pass the default; MAX_TEXT_MEMORY bounds all
    return Image.open(io.BytesIO(data), formats=(format,))


def _load_plugin(format: str) -> None:
    if format not in PLUGINS:
        return
    package, name = PLUGINS[format]
    try:
        module = __import__(package)
    except ImportError as error:
        raise Rejected(f"{name} needs an extra", f"pip install 'clip-spark[pictures]' reads {name}") from error
    if format == "HEIF":
        module.register_heif_opener()


def check_size(width: int, height: int) -> None:
    """*Pure.* Raise Rejected for a picture that has no pixels or too many."""
    if width < 1 or height < 1:
        raise Rejected("empty", f"{width} x {height} pixels")
    if width * height > MOST_PIXELS:
        raise Rejected("too many pixels", f"{width} x {height} pixels; at most {MOST_PIXELS:,} are decoded")


def as_seen(image: Image, look: Look) -> tuple[Image, tuple[str, ...]]:
    """*Worker.* A loaded picture turned upright and laid on a background, and what of both was done to it."""
    notices: list[str] = []
    if look.orientation == "apply" and (turn := _turn(image)) is not None:
        image = image.transpose(turn)
        notices.append(TURNED)
    if look.colour is not None and _has_alpha(image):
        image, transparent = _laid_on(image, look.colour)
        notices += [LAID] if transparent else []
    return image, tuple(notices)


def _turn(image: Image) -> Transpose | None:
    """What its EXIF asks for; looked for only where a file has such tags, for a search takes long."""
    from PIL.Image import Transpose

    if "exif" not in image.info and not hasattr(image, "tag_v2") and "Raw profile type exif" not in image.info:
        return None
    try:
        name = TURNS.get(int(image.getexif().get(0x0112, 1)))
    except Exception:  # noqa: BLE001 - tags are often damaged, and the picture is good without them
        return None
    return Transpose[name] if name else None


def _has_alpha(image: Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _laid_on(image: Image, colour: tuple[int, int, int]) -> tuple[Image, bool]:
    """The picture over a colour, and whether that changes anything; one that is opaque throughout stays as it is."""
    from PIL import Image as Pillow

    clear = image.convert("RGBA")
    lowest, _ = clear.getchannel("A").getextrema()
    if lowest == 255:
        return image, False
    return Pillow.alpha_composite(Pillow.new("RGBA", clear.size, (*colour, 255)), clear).convert("RGB"), True
