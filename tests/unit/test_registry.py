"""The registry: every command once, and all that is made of it."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from clip_spark.commands.entry import Command, load
from clip_spark.commands.registry import COMMANDS, STEPS
from clip_spark.datasets.spec import Spec
from clip_spark.jobs.cli import main, usage

ROOT = Path(__file__).resolve().parents[2]
NO_COMMAND = {"__init__", "cli"}
READ = r"read_manifest\(spec\.(\w+), (.+?)\)"
READ_ALL = r"read_manifest\(uri, (.+?)\) for uri in spec\.(\w+)"

every_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
every_step = pytest.mark.parametrize("step", STEPS.values(), ids=lambda step: step.name)


def test_each_command_has_one_job_file_and_each_job_file_one_command() -> None:
    files = {path.stem for path in (ROOT / "jobs").glob("*.py")} - NO_COMMAND
    assert files == {name.replace("-", "_") for name in COMMANDS}


@every_command
def test_a_job_file_runs_its_own_command(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        importlib.import_module(command.module).main(["--help"])
    shown = capsys.readouterr().out
    assert left.value.code == 0 and shown.startswith(f"usage: clip-spark {command.name} ")
    assert all(line in shown for _, line in command.examples)


@every_command
def test_an_example_is_of_its_command(command: Command) -> None:
    assert command.examples, f"{command.name} --help has no example"
    assert all(line.split()[:2] == ["clip-spark", command.name] for _, line in command.examples)


@every_step
def test_a_step_names_code_that_exists(step: Command) -> None:
    assert issubclass(step.spec_class, Spec)
    assert callable(load(step.step)) and callable(load(step.preview))


def source_of(step: Command) -> str:
    """Of its module, and of the one beside it that plans it, if that is another."""
    own = importlib.import_module(step.step.split(":")[0])
    planning = re.findall(r"from (\S+_plan) import", text := Path(str(own.__file__)).read_text())
    return "".join([text, *(Path(str(importlib.import_module(name).__file__)).read_text() for name in planning)])


@every_step
def test_the_kind_of_a_step_is_the_one_that_its_plan_says(step: Command) -> None:
    assert re.findall(r"Plan\.of\(\"(.+?)\"", source_of(step)) == [step.kind]


@every_step
def test_the_kinds_of_an_option_are_those_that_the_step_reads(step: Command) -> None:
    source = source_of(step)
    said = {field.name: field.metadata["kinds"] for field in dataclasses.fields(step.spec_class)}
    read = {name: tuple(re.findall(r'"(.+?)"', kinds)) for name, kinds in re.findall(READ, source)}
    read |= {name: tuple(re.findall(r'"(.+?)"', kinds)) for kinds, name in re.findall(READ_ALL, source)}
    read |= dict.fromkeys(re.findall(r"read_index\(spec\.(\w+)\)", source), ("index",))
    assert read == {name: kinds for name, kinds in said.items() if kinds}


@every_step
def test_the_next_command_exists_and_takes_what_the_step_gives(step: Command) -> None:
    if step.next_command:
        named = step.next_command.format(**dict.fromkeys(vars(step.spec_class), "x"), output="out").split()
        assert named[1] in COMMANDS and "out" in named


def test_the_overview_has_every_command_below_its_group() -> None:
    lines = usage().splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(COMMANDS)
    headings = [line.rstrip(":") for line in lines if re.fullmatch(r"[a-z ]+:", line)]
    assert headings == list(dict.fromkeys(command.group for command in COMMANDS.values()))  # no group twice
    assert max(map(len, lines)) <= 120


def test_the_readmes_table_is_the_registry() -> None:
    rows = [f"| {each.name} | {each.takes} | {_gives(each)} |" for each in COMMANDS.values()]
    assert "\n".join(["| command | from | to |", "|---|---|---|", *rows]) in (ROOT / "README.md").read_text()


def _gives(command: Command) -> str:
    return command.gives + (f" ([docs]({command.page}))" if command.page else "")


@every_command
def test_a_page_of_the_documentation_exists(command: Command) -> None:
    assert not command.page or (ROOT / command.page).exists()


def test_a_wrong_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "build-index" in capsys.readouterr().out
    assert main(["bild-index"]) == 2
    assert "Did you mean 'build-index'?" in capsys.readouterr().err
