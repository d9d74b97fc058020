"""Pictures: every kind comes in as open_clip's own pipeline takes it, or is rejected with a reason."""

from __future__ import annotations

import io
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip_spark.datasets.spec import fingerprint
from clip_spark.encoders.picture_pixels import PicturePreparer
from clip_spark.errors import InputError, Rejected
from clip_spark.pictures.decode import open_picture
from clip_spark.pictures.find import find_pictures, plan_shards
from clip_spark.pictures.sources import FileEntry, FilesPart
from clip_spark.pictures.tars import split_key
from clip_spark.runtime.ahead import map_ordered
from clip_spark.storage import list_files

PIL = pytest.importorskip("PIL.Image")


def photograph(width: int, height: int) -> Any:
    """Smooth colours with some noise."""
    random = np.random.default_rng(width * height)
    coarse = PIL.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((width, height))
    noise = random.integers(-8, 9, (height, width, 3))
    return PIL.fromarray((np.asarray(coarse).astype(int) + noise).clip(0, 255).astype(np.uint8))


def encoded(image: Any, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def transform() -> Any:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    return image_transform_v2(PreprocessCfg(size=64), is_train=False)


def reference(transform: Any, data: bytes) -> np.ndarray:
    """What open_clip's transform makes of the bytes, before it leaves integers."""
    image = PIL.open(io.BytesIO(data))
    for step in transform.transforms[:-2]:
        image = step(image)
    return np.asarray(image)


KINDS = {
    "png": lambda image: encoded(image, "PNG"),
    "jpeg": lambda image: encoded(image, "JPEG"),
    "webp": lambda image: encoded(image, "WEBP"),
    "alpha": lambda image: encoded(image.convert("RGBA"), "PNG"),
    "palette": lambda image: encoded(image.convert("P"), "PNG"),
    "black and white": lambda image: encoded(image.convert("1"), "PNG"),
    "grey": lambda image: encoded(image.convert("L"), "JPEG"),
    "CMYK": lambda image: encoded(image.convert("CMYK"), "JPEG"),
    "rotated by EXIF": lambda image: encoded(
        image, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06"
    ),
    "animated": lambda image: encoded(image, "GIF", save_all=True, append_images=[image.rotate(90)]),
}


@pytest.mark.parametrize("size", [(64, 64), (200, 100), (65, 130), (30, 20), (3, 90)])
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_equal_open_clips(transform: Any, kind: str, size: tuple[int, int]) -> None:
    data = KINDS[kind](photograph(*size))
    pixels, stored, _ = PicturePreparer(transform)(data)
    assert pixels.shape == (64, 64, 3) and pixels.dtype == np.uint8 and stored == size
    levels = 2 if size == (3, 90) else 0  # so long a picture is only computed inside the crop
    assert np.abs(pixels.astype(int) - reference(transform, data)).max() <= levels


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1)])
def test_thin_pictures_cost_no_more_than_others(transform: Any, size: tuple[int, int]) -> None:
    assert PicturePreparer(transform)(encoded(photograph(*size), "PNG")).values.shape == (64, 64, 3)


def test_16_bit_grey_keeps_its_shades(transform: Any) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels = PicturePreparer(transform)(encoded(PIL.fromarray(ramp), "PNG")).values
    assert pixels.min() == 0 and pixels.max() == 255 and 120 < pixels.mean() < 135


@pytest.mark.parametrize("size", [(512, 400), (1600, 1200)])
def test_fast_decoding_is_close(transform: Any, size: tuple[int, int]) -> None:
    data = encoded(photograph(*size), "JPEG", quality=90)
    exact, fast = (PicturePreparer(transform)(data, fast).values.astype(float).ravel() for fast in (False, True))
    assert exact @ fast / np.linalg.norm(exact) / np.linalg.norm(fast) > 0.999


BAD = {
    "empty": (b"", "empty"),
    "text": (b"hello", "not a picture"),
    "html": (b"<html></html>", "not a picture"),
    "truncated png": (encoded(photograph(50, 50), "PNG")[:900], "cut short"),
    "truncated jpeg": (encoded(photograph(50, 50), "JPEG")[:700], "cut short"),
    "bomb": (encoded(PIL.new("1", (20_000, 20_000)), "PNG"), "too many pixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_usable_picture_is_rejected(name: str) -> None:
    data, reason = BAD[name]
    with pytest.raises(Rejected) as caught:
        open_picture(data)
    assert caught.value.reason == reason


def test_results_come_in_order_and_few_wait() -> None:
    lock, begun = threading.Lock(), [0]

    def work(item: int) -> int:
        with lock:
            begun[0] += 1
        return item * 2

    results = map_ordered(work, range(1000), threads=4, ahead=8)
    assert next(results) == 0 and begun[0] <= 9
    assert list(results) == [2 * item for item in range(1, 1000)]


def test_an_error_in_a_thread_reaches_the_consumer() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_ordered(lambda item: 1 // item, [1, 0, 1], threads=2, ahead=2))


def test_files_are_found_in_order_with_what_lies_beside_them(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "a.txt", "sub/c.webp", "notes.md", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = find_pictures((str(tmp_path),))
    assert [entry.uri.removeprefix(f"{tmp_path}/") for entry in found.files] == ["a.jpg", "b.PNG", "sub/c.webp"]
    assert found.files[0].caption.endswith("a.txt") and not found.files[1].caption
    shards = plan_shards(found, shard_rows=2)
    assert [len(shard.part.files) for shard in shards if isinstance(shard.part, FilesPart)] == [1, 2]


def test_a_list_names_files(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"# two pictures\n{tmp_path}/a.png\n\ns3://bucket/b.png\n")
    found = find_pictures((str(tmp_path / "list.txt"),))
    assert [entry.uri for entry in found.files] == [f"{tmp_path}/a.png", "s3://bucket/b.png"]


@pytest.mark.parametrize("name", ["nothing", "notes"])
def test_inputs_without_pictures_are_the_users_mistake(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("x")
    with pytest.raises(InputError, match="allowed|does not exist"):
        find_pictures((str(tmp_path / name),))


def test_keys_are_cut_at_the_first_dot_of_the_last_part() -> None:
    assert split_key("a.b/c.d/0001.seg.PNG") == ("a.b/c.d/0001", "seg.png")


def test_a_part_of_many_files_travels_small_and_whole() -> None:
    part = FilesPart(tuple(FileEntry(f"s3://bucket/pictures/{n:08d}.png", "", "") for n in range(10_000)))
    packed = pickle.dumps(part)
    assert pickle.loads(packed) == part
    assert len(packed) < 10 * len(part.files)


def test_the_inputs_fingerprint_is_that_of_their_listing(tmp_path: Path) -> None:
    for name in ("b.png", "a.png"):
        (tmp_path / name).touch()
    stamps = [[file.uri, file.bytes, file.stamp] for file in list_files(str(tmp_path))]
    assert find_pictures((str(tmp_path),)).fingerprint == fingerprint(stamps)
