"""Names of files: `clean` deletes what it knows, so a step must write nothing that it does not know."""

from __future__ import annotations

import pytest

from clip_spark.datasets.own_files import check_known, own_files
from clip_spark.errors import DatasetError


def test_sheets_of_thumbnails_are_deleted_with_the_map_that_was_never_finished() -> None:
    sheet = "out/tiles/00012.image-3-5-2.0.webp"
    assert list(own_files("out", iter([sheet, "out/holiday.webp"]))) == [sheet]


def test_a_step_that_names_its_file_unlike_all_others_is_told_so() -> None:
    check_known(["records/00001.parquet", "tiles/00012.image-3-5-2.records.arrow"])
    with pytest.raises(DatasetError, match=r"photos/00001\.jpg"):
        check_known(["photos/00001.jpg"])
