"""Rules for the tests themselves."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.services.processes import wait_until
from tests.tell_failures import told

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "tests").rglob("*.py"))

SERVICE = """
import subprocess, sys
from pathlib import Path
import pytest
from tests.services.processes import start

@pytest.fixture(scope="session")
def service(tmp_path_factory):
    process = start([sys.executable, "-c", "import time; time.sleep(600)"], Path(__file__).with_name("log"))
    yield process
    process.kill()

def test_it(service):
    import time
    Path(__file__).with_name("pid").write_text(str(service.pid))
    time.sleep(600)
"""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_test_imports_helpers_and_no_other_test(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        parts = [part for name in (module, *names) for part in name.split(".")]
        assert not any(part.startswith("test_") for part in module.split(".")), f"{path.name} imports {module}"
        assert "conftest" not in parts, f"{path.name} imports from a conftest; move it to tests/helpers_*.py"
        if isinstance(node, ast.Attribute) and node.attr == "path":
            assert not (isinstance(node.value, ast.Name) and node.value.id == "sys"), f"{path.name} changes sys.path"


def test_no_two_test_files_have_one_name() -> None:
    names = Counter(path.name for path in FILES if path.name.startswith("test_"))
    assert not [name for name, count in names.items() if count > 1]  # pytest would stop before the first test


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_services_end_with_a_pytest_that_is_ended(how: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "test_service.py").write_text(SERVICE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_service.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "out").open("wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=out, env=environment, cwd=tmp_path)
    pid = tmp_path / "pid"
    wait_until("a test running", lambda: pid.exists() and pid.read_text().isdigit(), seconds=120)
    service = int(pid.read_text())
    assert is_running(service)
    child.send_signal(how)
    assert child.wait(60) != 0
    wait_until("the service ending", lambda: not is_running(service))


def is_running(pid: int) -> bool:
    """True unless the process is gone, or only waits for somebody to ask how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_failure_is_told_in_a_line() -> None:
    def call() -> None:
        raise ValueError("first\nsecond\n" + "x" * 9999)

    info = pytest.CallInfo.from_call(call, "setup")
    assert info.excinfo is not None
    longrepr = info.excinfo.getrepr(style="long")
    report = pytest.TestReport("tests/a.py::test_b", ("a.py", 1, "b"), {}, "failed", longrepr, "setup")
    line = told(report)
    assert line.startswith("FAILED tests/a.py::test_b (setup): ValueError: first second x") and "\n" not in line
    report.longrepr = "worker 'gw0' crashed while running 'tests/a.py::test_b'"
    assert told(report).endswith("(setup): worker 'gw0' crashed while running 'tests/a.py::test_b'")
