"""A pytest plugin that names a failed test at once, since a run may be ended from outside before pytest says it."""

from __future__ import annotations

import pytest

MOST = 300
"""Characters of a message."""


class TellFailures:
    """Writes a line for each failure; with xdist in the process that collects the reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for each phase of each test."""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal is not None:
            terminal.write_line("\n" + told(report))
            terminal.flush()


def told(report: pytest.TestReport) -> str:
    """The test, its phase where that is not the call, and what the error said."""
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash else report.longreprtext).split("\n")
    message = " ".join((lines if crash else lines[-1:])[:3]).strip()[:MOST]
    phase = "" if report.when in (None, "call") else f" ({report.when})"
    where = f" [{crash.path}:{crash.lineno}]" if crash else ""
    return f"FAILED {report.nodeid}{phase}: {message}{where}"


def pytest_configure(config: pytest.Config) -> None:
    """In the workers of xdist nobody reads it."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(TellFailures(config))
