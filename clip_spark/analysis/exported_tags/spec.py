"""*Pure.* Spec of export-tags."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import URI, check_at_least, check_choice, check_not_empty, option
from clip_spark.errors import SpecError

XMP, IPTC, BOORU, IMAGEFOLDER, CSV = FORMATS = ("xmp", "iptc", "booru", "imagefolder", "csv")
FULL, STEM = NAMES = ("full", "stem")


@dataclass(frozen=True, kw_only=True)
class ExportTagsSpec:
    """export-tags: tags -> files that other programs read, beside the pictures or in them."""

    tags: str = option("dataset of tags, as tag-images writes it", "", holds=URI, kinds=("tags",))
    output: str = option("folder for the notes that --undo needs, and for tags.csv", holds=URI)
    format: str = option(
        "xmp (dc:subject), iptc (keywords inside JPEG), booru (.txt with commas), imagefolder (metadata.jsonl) or csv",
        XMP,
    )
    in_file: bool = option("XMP inside the pictures (JPEG, PNG) in place of sidecars", False)
    names: str = option("of XMP sidecars: full (cat.jpg.xmp: darktable, digiKam) or stem (cat.xmp: Adobe's)", FULL)
    top: int = option("most tags of a picture; 0 takes all that it has", 0)
    min_score: float = option("least score of a tag", -1.0)
    dry_run: bool = option("only say what would be written", False)
    undo: bool = option("give back every file that the export in --output has changed, byte for byte", False)

    def __post_init__(self) -> None:
        check_not_empty("output", self.output)
        check_choice("format", self.format, FORMATS)
        check_choice("names", self.names, NAMES)
        check_at_least("top", self.top, 0)
        if not self.undo:
            check_not_empty("tags", self.tags)
        if self.in_file and self.format != XMP:
            raise SpecError(f"--in-file is for --format xmp; {self.format} has one place only.")
