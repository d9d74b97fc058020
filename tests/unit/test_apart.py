"""Functions in child processes: what kills one is known, what only fails is told, nothing is left running."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.errors import ClipSparkError, Rejected
from clip_spark.runtime.child_process import Apart, Limits
from clip_spark.runtime.fresh_process import how_ended
from clip_spark.runtime.processes import Processes


def length(text: str) -> int:
    """Dies of one text, fails on another."""
    if text.startswith("deadly"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if text == "bad":
        raise Rejected("bad", "as such")
    if text.startswith("/") and not Path(text).exists():  # dies once: the next process finds the file
        Path(text).touch()
        os._exit(3)
    return len(text)


def children() -> set[str]:
    """Processes of this one."""
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


def test_a_deadly_record_is_rejected_and_the_others_are_done() -> None:
    others = children()  # a reader of pictures keeps its own for the next picture
    with Apart(length) as work:
        assert work("abc") == 3
        with pytest.raises(Rejected, match="kills the process.*SIGSEGV"):
            work("deadly")
        with pytest.raises(Rejected, match="as such"):
            work("bad")
        assert work("abcd") == 4
    assert children() <= others


def test_a_record_is_not_blamed_for_one_dead_process(tmp_path: Path) -> None:
    with Apart(length) as work:
        assert work(str(tmp_path / "once")) == len(str(tmp_path / "once"))


def test_threads_have_a_process_each() -> None:
    with Apart(length) as work, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, ["a" * n for n in range(1, 9)])) == list(range(1, 9))


def test_when_everything_dies_no_record_is_blamed() -> None:
    with Apart(length, Limits(most_deadly=1)) as work:
        with pytest.raises(Rejected):
            work("deadly 1")
        with pytest.raises(ClipSparkError, match="More than 1 records"):
            work("deadly 2")


def pid(_: str) -> int:
    """Of the process that works."""
    return os.getpid()


def is_alive(process: int) -> bool:
    """False also for one that has ended and that nobody has waited for."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def test_children_end_with_a_parent_that_is_killed() -> None:
    parent = multiprocessing.get_context("fork").Process(target=_begin_and_die, args=(theirs := os.pipe(),))
    parent.start()
    child = int(os.read(theirs[0], 20))
    parent.join()
    deadline = time.monotonic() + 120
    while is_alive(child):
        assert time.monotonic() < deadline, "the child outlives its parent"
        time.sleep(0.05)


def _begin_and_die(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], str(Apart(pid)("")).encode())
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_script_runs_once_however_it_is_written(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import operator\nfrom clip_spark.runtime.child_process import Apart\n"
        "print('runs')\nwith Apart(operator.neg) as work:\n    print(work(3))\n"
    )
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "runs\n-3\n", "")


def weighed(weights: Any, factor: float) -> float:
    """A function that needs a tensor."""
    return float(factor * weights.sum())


def test_a_function_takes_the_weights_of_a_model_along() -> None:
    torch = pytest.importorskip("torch")
    with Apart(partial(weighed, torch.ones(1000))) as work:
        assert work(2.0) == 2000
    with Processes(1) as process:
        assert process.map(partial(weighed, torch.ones(1000)), [3.0], lambda: None) == [3000]


def test_an_encoder_prepares_pictures_in_a_child_as_it_does_here() -> None:
    encoder, stream = load_encoder(EncoderSpec("demo", "fp32")), io.BytesIO()
    Image.new("RGB", (50, 40), (200, 30, 90)).save(stream, "PNG")
    with Apart(encoder.prepare) as work:
        np.testing.assert_array_equal(work(stream.getvalue()).values, encoder.prepare(stream.getvalue()).values)


def test_ends_are_named() -> None:
    assert (how_ended(-9), how_ended(3), how_ended(-99)) == ("SIGKILL", "exit status 3", "signal 99")
