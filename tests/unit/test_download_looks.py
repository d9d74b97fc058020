"""PDQ: the bits of the reference implementation; near copies are near, other pictures far, lists are obeyed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clip_spark.errors import InputError
from clip_spark.pictures.download.block_list import check_not_like, read_pdq_lists
from clip_spark.pictures.download.doubles import key_of
from clip_spark.pictures.download.pdq import NEAR, as_numbers, distances, low_bits, pdq
from clip_spark.pictures.download.resize import to_stored
from clip_spark.pictures.download.specs import DownloadSpec
from clip_spark.pictures.download.statuses import Failed

REFERENCE = {
    0: "5db0169ec4dbee5c037a2e0c44b2876d9b5558f3ed0131a39b04d9f952c96e93",
    1: "c3f1fc3e24b06631ce711d7e6d884326da277081310d39add2c9d279ce1d3967",
    2: "e1742279ad89d650de5e061f7bac48d1645331a071a346af5a671fc806fdce63",
}
"""Seed of a drawn picture -> what pdqhash 0.2.8, which compiles the C++ of PDQ's authors, says of it."""


def drawn(seed: int, size: tuple[int, int] = (384, 256)) -> Image.Image:
    """Large soft shapes and small ones, as photographs have them."""
    draw = np.random.default_rng(seed)
    large, small = (draw.integers(0, high, (*shape, 3), np.uint8) for high, shape in ((180, (9, 12)), (75, (40, 60))))
    soft = [np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BICUBIC)) for one in (large, small)]
    return Image.fromarray(soft[0] + soft[1])


def as_jpeg(image: Image.Image, quality: int = 75) -> bytes:
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality)
    return sink.getvalue()


def distance(one: str | None, other: str | None) -> int:
    assert one and other
    return int(distances(as_numbers([one]), other)[0])


@pytest.mark.parametrize("seed", REFERENCE)
def test_the_bits_are_those_of_the_reference(seed: int) -> None:
    assert distance(pdq(drawn(seed)), REFERENCE[seed]) <= 1  # a bit at the median may fall to either side


def test_copies_are_near_and_others_are_far() -> None:
    found = [pdq(drawn(seed)) for seed in range(20)]
    for seed, digest in enumerate(found):
        whole = drawn(seed)
        copies = [Image.open(io.BytesIO(as_jpeg(whole, 50))), whole.resize((192, 128)), whole.resize((900, 600))]
        assert max(distance(pdq(copy), digest) for copy in copies) <= NEAR
        assert min(distance(other, digest) for other in found if other != digest) > 3 * NEAR


def test_what_shows_too_little_has_no_hash_and_is_told_by_its_bytes() -> None:
    assert pdq(Image.new("RGB", (300, 200), (90, 30, 20))) is None
    facts = {"pdq": None, "sha256": "ab" * 32}
    assert key_of(facts, "perceptual") == bytes.fromhex("ab" * 32)


def test_most_copies_share_what_dedup_compares() -> None:
    pairs = [(pdq(drawn(seed)), pdq(Image.open(io.BytesIO(as_jpeg(drawn(seed)))))) for seed in range(40)]
    assert sum(low_bits(str(one)) == low_bits(str(other)) for one, other in pairs) >= 32


@pytest.mark.parametrize("size", [(40, 30_000), (1, 1), (7, 3), (1000, 999)])
def test_any_shape_can_be_hashed(size: tuple[int, int]) -> None:
    pdq(Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)))


def test_lists_of_hashes_are_obeyed_up_to_their_distance(tmp_path: Path) -> None:
    digest = str(pdq(drawn(1)))
    near = f"{int(digest, 16) ^ 0b10110:064x}"
    (tmp_path / "list.txt").write_text(f"# bad\n{near.upper()},100\n{'0' * 64}\n")
    listed = read_pdq_lists((str(tmp_path / "list.txt"),))
    for most in (2, 3):
        if most < 3:
            check_not_like(digest, listed, most)
        else:
            with pytest.raises(Failed, match="looks like"):
                check_not_like(digest, listed, most)
    check_not_like(None, listed, 31)
    check_not_like(digest, read_pdq_lists(()), 31)
    (tmp_path / "odd.txt").write_text("abc\n")
    with pytest.raises(InputError, match="line 1: 'abc' is no PDQ hash"):
        read_pdq_lists((str(tmp_path / "odd.txt"),))


@pytest.mark.parametrize("mode", [{"resize_mode": "no"}, {"resize_mode": "border"}, {"skip_reencode": True}, {}])
def test_a_picture_is_hashed_before_it_is_cut_or_framed(mode: dict[str, Any]) -> None:
    spec = DownloadSpec(records="r", output="o", dedup="perceptual", **mode)
    assert distance(to_stored(as_jpeg(drawn(3)), spec).pdq, pdq(drawn(3))) <= 8
    assert to_stored(as_jpeg(drawn(3)), DownloadSpec(records="r", output="o", **mode)).pdq is None
