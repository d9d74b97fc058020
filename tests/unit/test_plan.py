"""plan: arithmetic that can be checked by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from clip_spark.commands.estimate import Sizes, estimate, measure, read_rates, short
from clip_spark.commands.estimate_spec import PlanSpec
from clip_spark.datasets.sizes import human
from clip_spark.errors import SpecError
from clip_spark.index.files import needed_faiss
from clip_spark.jobs import plan as command

RATES = {
    "models": {"m": {"dimension": 512, "pictures_per_gpu_second": 1000, "texts_per_gpu_second": 2000}},
    "corpus_mb_per_core_second": 1.0,
    "vectors_per_core_second": 10_000,
    "price_per_gpu_hour": 4.0,
    "price_per_core_hour": 0.05,
}


def test_hours_shards_and_money_follow_from_the_rates() -> None:
    spec = PlanSpec(pictures="36M", model="m", gpus=10, shard_rows=10_000)
    images, index = estimate(measure(spec), RATES, spec)
    assert (images.step, images.shards) == ("embed-images", 3_600)
    assert images.machine_hours == pytest.approx(10) and images.clock_hours == pytest.approx(1)
    assert images.cost == pytest.approx(40) and index.machine_hours == pytest.approx(1)


def test_a_corpus_is_counted_on_cores() -> None:
    (count,) = estimate(Sizes(36 * 10**9, 0, 0), RATES, PlanSpec(corpus_bytes="36GB", model="m", cores=10))
    assert count.machine_hours == pytest.approx(10) and count.clock_hours == pytest.approx(1)
    assert count.shards == -(-36 * 10**9 // (16 << 20))


def test_files_are_listed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x" * 1000)
    assert measure(PlanSpec(corpus=(str(tmp_path),))).corpus_bytes == 1000


def test_mistakes_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SpecError, match="nothing to plan"):
        PlanSpec()
    assert command.main(["--pictures", "4OOM"]) == 2
    assert command.main(["--pictures", "1M", "--model", "ViT-B-23"]) == 2
    assert "Did you mean 'ViT-B-32'" in capsys.readouterr().err


def test_the_command_shows_tables_and_the_bundled_rates_are_complete(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--pictures", "400M", "--texts", "10M", "--corpus-bytes", "6T"]) == 0
    shown = capsys.readouterr().out
    assert "embed-images" in shown and "OPQ" in shown
    assert all(rates["dimension"] for rates in read_rates("")["models"].values())


SMALL = ["--pictures", "1M", "--model", "ViT-B-32", "--max-index-memory", "120M"]


@pytest.mark.parametrize(("here", "said"), [("1.10.0", "the Faiss here is 1.10.0"), ("", "there is no Faiss here")])
def test_a_plan_says_that_its_index_needs_a_later_faiss_than_there_is_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], here: str, said: str
) -> None:
    def no_rabitq() -> bool:
        if not here:
            raise ImportError("no module named faiss")
        return False

    monkeypatch.setattr(needed_faiss, "has_rabitq", no_rabitq)
    monkeypatch.setattr(needed_faiss, "load_faiss", lambda: SimpleNamespace(__version__=here))
    assert command.main(SMALL) == 0
    shown = capsys.readouterr().out
    assert f"RR512,IVF4096,RaBitQ needs faiss-cpu>=1.11, and {said}: install that where" in shown.replace("\n", " ")


def test_a_plan_says_nothing_of_faiss_where_the_one_here_will_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(needed_faiss, "has_rabitq", lambda: True)
    assert command.main(SMALL) == 0
    monkeypatch.setattr(needed_faiss, "has_rabitq", lambda: False)
    assert command.main(["--pictures", "1M", "--model", "ViT-B-32"]) == 0
    assert "faiss-cpu" not in capsys.readouterr().out


def test_sizes_for_people() -> None:
    assert [short(count) for count in (0, 7, 400_000_000)] == ["", "7", "400M"]
    assert [human(size) for size in (7, 1_500, 2.5e12)] == ["7 B", "1.5 kB", "2.5 TB"]
