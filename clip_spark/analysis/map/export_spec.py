"""*Pure.* Spec of export-map."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import URI, option
from clip_spark.errors import SpecError

CSV, PARQUET = ENDINGS = (".csv", ".parquet")


@dataclass(frozen=True, kw_only=True)
class ExportMapSpec:
    """export-map: map -> one file."""

    map: str = option("the map", holds=URI, kinds=("map",))
    output: str = option("file to write: .csv, or .parquet for embedding-atlas", holds=URI)
    pictures: bool = option("thumbnails of the pictures in a column `image`, of a .parquet", False)

    def __post_init__(self) -> None:
        if not self.output.lower().endswith(ENDINGS):
            raise SpecError(f"--output is '{self.output}'; its name must end in .csv or .parquet.")
        if self.pictures and self.ending == CSV:
            raise SpecError("--pictures needs an --output that ends in .parquet: a CSV file holds no pictures.")

    @property
    def ending(self) -> str:
        """*Pure.* `.csv` or `.parquet`."""
        return CSV if self.output.lower().endswith(CSV) else PARQUET
