"""Versions in manifests and in figures of benchmarks are looked up in one way."""

from __future__ import annotations

from importlib.metadata import version

from clip_spark import __version__
from clip_spark.datasets.manifest import versions, versions_of
from scripts.figures import machine


def test_packages_that_are_not_there_are_left_out() -> None:
    assert versions_of(["numpy", "no-such-package"]) == {"numpy": version("numpy")}


def test_manifests_and_figures_say_the_same_of_a_package() -> None:
    known, on = versions(), machine()
    assert known["clip_spark"] == __version__ and known["python"] == on["python"]
    assert known["numpy"] == on["versions"]["numpy"] == version("numpy")
