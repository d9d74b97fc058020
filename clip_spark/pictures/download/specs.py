"""*Pure.* Spec of download-images."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.sizes import size_bytes
from clip_spark.datasets.spec import COLUMN, PRUNE_HELP, SIZE, TEXT, URI, Spec, check_at_least, check_choice, option
from clip_spark.errors import SpecError
from clip_spark.pictures.download.pdq import NEAR
from clip_spark.pictures.download.statuses import FAILURES

RESIZE_MODES = ("no", "border", "keep_ratio", "keep_ratio_largest", "center_crop")
FORMATS = ("jpg", "png", "webp")
DEDUP = ("no", "sha256", "perceptual")
CONTAINERS = ("webdataset", "parquet")


@dataclass(frozen=True, kw_only=True)
class DownloadSpec(Spec):
    """download-images: records with links -> pictures."""

    records: str = option(
        "dataset of records with picture links (make-records --uri-column)",
        content=False,
        holds=URI,
        kinds=("records",),
    )
    contact: str = option(
        "who runs this, a mail or web address, for the people whose servers are asked; needed beyond 10,000 links",
        "",
        content=False,
        holds=TEXT,
    )
    format: str = option(
        "write webdataset (tars), or parquet with the pictures' bytes in a column `image`", "webdataset", later=True
    )
    image_size: int = option("pixels that --resize-mode aims at", 256)
    resize_mode: str = option(
        "no (keep the file as it came), keep_ratio (its shorter side), keep_ratio_largest (its longer side), "
        "center_crop (a square), border (a square with white bars)",
        "keep_ratio",
    )
    upscale: bool = option("also enlarge pictures that are smaller", False)
    encode_format: str = option("store as jpg, png or webp", "jpg")
    encode_quality: int = option("quality of jpg and webp, 1 to 100", 95)
    skip_reencode: bool = option("store the bytes as they came where nothing is resized", False)
    min_image_size: int = option("reject pictures whose shorter side has fewer pixels", 0)
    max_aspect_ratio: float = option(
        "reject pictures that are more than so many times as long as wide; 0: no limit", 0.0
    )
    max_bytes: str = option("reject larger files", "32M", holds=SIZE)
    hash_column: str = option("column with the md5, sha1 or sha256 that the file must have", "", holds=COLUMN)
    block_list: tuple[str, ...] = option("files of md5, sha1 or sha256, one a line; never stored", (), holds=URI)
    block_pictures: tuple[str, ...] = option(
        "files of PDQ hashes (64 hex digits), one a line; pictures that look so are never stored",
        (),
        later=True,
        holds=URI,
    )
    block_distance: int = option(
        "bits in which a picture's PDQ may differ from one of --block-pictures", NEAR, later=True
    )
    dedup: str = option(
        "keep one file of pictures that are the same: no, sha256 (of the same bytes), perceptual (they look the same)",
        "no",
        later=True,
    )
    timeout: float = option("seconds for one try, from its connection to its last byte", 30.0, content=False)
    tries: int = option("how often a link is tried if the failure may pass", 3, content=False)
    connections: int = option("links that one task asks for at once", 64, content=False)
    host_connections: int = option(
        "of one host at once, in all tasks together; each has at least one", 4, content=False
    )
    robots: bool = option("obey robots.txt (RFC 9309) and its Crawl-delay", True)
    robots_tag: bool = option("obey X-Robots-Tag: noai, noimageai, noindex, noimageindex, none", True)
    aipref: bool = option("obey Content-Usage: train-ai=n (IETF AIPREF), in robots.txt and in answers", True)
    tdm: bool = option("obey tdm-reservation: 1", True)
    allow_private: bool = option("also ask addresses that are not public (an intranet, a test)", False)
    retry_failed: tuple[str, ...] = option(
        "of a finished download: fetch rows that failed for these reasons again, or `all`; what is stored stays",
        (),
        content=False,
    )
    prune: bool = option(PRUNE_HELP, False, content=False)
    max_rejects: float = option("end as failed if a larger share of the rows fails", 1.0, content=False)
    shard_rows: int = option("links of one shard", 5000)

    def __post_init__(self) -> None:
        check_choice("format", self.format, CONTAINERS)
        check_choice("resize-mode", self.resize_mode, RESIZE_MODES)
        check_choice("encode-format", self.encode_format, FORMATS)
        check_choice("dedup", self.dedup, DEDUP)
        if self.prune and self.dedup != "no":
            raise SpecError("--prune with --dedup: the file of a row that goes may be that of others; use --overwrite.")
        for reason in self.retry_failed:
            check_choice("retry-failed", reason, ("all", *FAILURES))
        if not 1 <= self.encode_quality <= 100:
            raise SpecError(f"--encode-quality is {self.encode_quality}; it must be from 1 to 100.")
        at_least = {"image_size": 1, "min_image_size": 0, "max_aspect_ratio": 0, "timeout": 0.1, "tries": 1}
        at_least |= {"block_distance": 0, "connections": 1, "host_connections": 1, "shard_rows": 1, "max_rejects": 0}
        for name, least in at_least.items():
            check_at_least(name.replace("_", "-"), getattr(self, name), least)
        size_bytes("max-bytes", self.max_bytes)

    @property
    def needs_pdq(self) -> bool:
        """Whether pictures are hashed by what they show."""
        return self.dedup == "perceptual" or bool(self.block_pictures)

    @property
    def most_bytes(self) -> int:
        """`max_bytes` in bytes."""
        return size_bytes("max-bytes", self.max_bytes)
