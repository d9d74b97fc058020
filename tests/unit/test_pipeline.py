"""`run`: the steps of a YAML file, each skipped when it is done."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from clip_spark.commands.pipeline import Outcome, fill, lost, next_line, read_pipeline, run_pipeline
from clip_spark.commands.registry import STEPS
from clip_spark.errors import OutputError, SpecError
from clip_spark.index.files.layout import read_index
from clip_spark.pictures.download.statuses import OK
from clip_spark.pictures.download.tally import STATUS
from clip_spark.runtime.session import session_source
from tests.helpers_colours import know_colours
from tests.helpers_commands import TOY
from tests.helpers_growth import draw, tasks_run_here

TEXT = """
vars: {{work: {work}, k: 5}}
steps:
  - toy: {{embeddings: e, index: i, output: "${{work}}/one", k: "${{k}}"}}
  - toy: {{embeddings: e, index: i, output: "${{work}}/two"}}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    place = tmp_path / "p.yaml"
    place.write_text(TEXT.format(work=tmp_path))
    return str(place)


def run(config: str, rebuild: bool = False, **settings: str) -> list[bool]:
    steps = read_pipeline(config, settings, {"toy": TOY})
    return [outcome.skipped for outcome in run_pipeline(session_source("t"), steps, rebuild=rebuild)]


def test_done_steps_are_skipped_the_next_time(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(config) == [False, False]
    monkeypatch.setattr("clip_spark.commands.pipeline.time.time", lambda: 4e9)  # a later second, without sleeping
    assert run(config) == [True, True]


def test_a_changed_option_stops_the_run_unless_it_may_rebuild(config: str) -> None:
    run(config)
    with pytest.raises(OutputError, match="k was 5, now 6.*--rebuild"):
        run(config, k="6")
    assert run(config, rebuild=True, k="6")[0] is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: [{tyo: {}}]", "a step 'tyo' that does not exist. Did you mean 'toy'"),
        ("steps: [{toy: {embeddings: e, index: i, outptu: x}}]", "In step toy.*no option 'outptu'"),
        ('steps: [{toy: {embeddings: "${wrk}/e", index: i, output: o}}]', "a variable 'wrk'"),
        ("stpes: []", "must have a list under 'steps:'"),
        ("steps: [toy]", "must be one 'name: {options}' pair"),
    ],
)
def test_mistakes_are_found_before_any_step(tmp_path: Path, text: str, message: str) -> None:
    place = tmp_path / "p.yaml"
    place.write_text(text)
    with pytest.raises(SpecError, match=message):
        read_pipeline(str(place), {}, {"toy": TOY})


def test_unknown_variables_on_the_command_line_are_refused(config: str) -> None:
    with pytest.raises(SpecError, match=r"has no variable 'wrok'; there are: .*work.*\. Did you mean 'work'"):
        read_pipeline(config, {"wrok": "x"}, {"toy": TOY})


def test_fill_reaches_into_lists() -> None:
    assert fill(["${a}/x", 3, "plain"], {"a": "b"}) == ["b/x", 3, "plain"]


def test_a_value_that_is_only_a_variable_keeps_its_type() -> None:
    assert fill("${orders}", {"orders": [1, 2]}) == [1, 2]


def test_braces_that_are_no_variable_stand_for_themselves() -> None:
    assert fill("^[a-z]{3}$", {"n": 1}) == "^[a-z]{3}$"
    assert fill("a photo of a {}, {other}", {"n": 1}) == "a photo of a {}, {other}"


def test_a_variable_without_its_dollar_is_answered(tmp_path: Path) -> None:
    place = tmp_path / "p.yaml"
    place.write_text('vars: {work: out}\nsteps: [{toy: {embeddings: "{work}/e", index: i, output: o}}]')
    with pytest.raises(SpecError, match=r"has '\{work\}'; variables are written with a dollar: '\$\{work\}'"):
        read_pipeline(str(place), {}, {"toy": TOY})


def test_a_step_that_would_read_another_kind_is_found_before_any_runs(tmp_path: Path) -> None:
    place = tmp_path / "p.yaml"
    counts = "count-ngrams: {corpus: c, output: o/counts}"
    place.write_text(f"steps: [{{{counts}}}, {{embed-text: {{records: o/counts, output: o/e}}}}]")
    with pytest.raises(SpecError, match="--records is 'o/counts', where count-ngrams writes counts; it needs records"):
        read_pipeline(str(place), {}, STEPS)


GROWING = """
vars: {{work: {work}}}
steps:
  - embed-images: {{images: "${{work}}/in", output: "${{work}}/emb", model: "colours:rgb"}}
  - build-index: {{embeddings: "${{work}}/emb", output: "${{work}}/index"}}
  - embed-images: {{images: "${{work}}/more", output: "${{work}}/emb2", model: "colours:rgb"}}
  - build-index: {{embeddings: "${{work}}/emb2", output: "${{work}}/index", append: true}}
"""


def test_a_pipeline_with_an_append_does_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks_run_here(monkeypatch)
    know_colours(monkeypatch)
    config = tmp_path / "p.yaml"
    config.write_text(GROWING.format(work=tmp_path))

    def again() -> list[Outcome]:
        return run_pipeline(MagicMock(), read_pipeline(str(config), {}, STEPS), rebuild=False)

    def news(outcomes: list[Outcome]) -> list[str]:
        return [one.manifest.news for one in outcomes]

    for folder, name in (("in", "a.png"), ("in", "b.png"), ("more", "x.png")):
        draw(tmp_path / folder, name)
    assert news(again()) == ["", "", "", "1 new"]
    first = read_index(str(tmp_path / "index"))[1].parts
    with monkeypatch.context() as later:
        later.setattr("clip_spark.commands.pipeline.time.time", lambda: 4e9)
        assert all(one.skipped for one in again())
    for folder, name in (("in", "c.png"), ("more", "y.png"), ("more", "z.png")):
        draw(tmp_path / folder, name)
    outcomes = again()
    assert news(outcomes) == ["1 new", "1 new", "2 new", "2 new"] and outcomes[-1].manifest.rows == 6
    assert read_index(str(tmp_path / "index"))[1].parts[: len(first)] == first


def test_what_a_step_lost_is_counted_and_the_last_says_what_to_type_next(tmp_path: Path) -> None:
    def manifest(kind: str) -> Any:
        return SimpleNamespace(kind=kind, rejects={"damaged": 3}, receipts=[], uri=str(tmp_path / "a b"))

    assert lost(manifest("embeddings")) == 3
    tallied = SimpleNamespace(counters={f"{STATUS}{OK}": 5, f"{STATUS}dns": 2, f"{STATUS}http 404": 1})
    assert lost(SimpleNamespace(kind="images", rejects={}, receipts=[tallied])) == 3
    place = tmp_path / "p.yaml"
    place.write_text(f"steps:\n- build-index: {{embeddings: x, output: '{tmp_path}/i'}}\n")
    steps = read_pipeline(str(place), {}, STEPS)
    told = next_line(steps, [Outcome("build-index", manifest("index"), 1.0, False)])
    assert told == f"Next: clip-spark search --index '{tmp_path}/a b' --text 'something to look for'"
    assert next_line([], []) == ""
