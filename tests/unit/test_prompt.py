"""The prompt of search, on a terminal of its own; pictures inside terminals that say that they can show them."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import io
import os
import pty
import re
import select
import signal
import stat
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip_spark.commands.inline_pictures import attributes, escapes, find_protocol
from clip_spark.commands.terminal import cut, cut_paths
from tests.helpers_web import HOSTILE, make_indices

PROMPT = rb"> $"
SECONDS = 120
KITTY, SIXEL, PLAIN = b"\x1b_Gi=31;OK\x1b\\\x1b[?62;22c", b"\x1b[?62;4;22c", b"\x1b[?62;22c"


class Terminal:
    """A process that sees a terminal of so many columns, which answers when it is asked what it is."""

    def __init__(self, index: str, home: Path, answer: bytes, columns: int = 80) -> None:
        self.shown = b""
        self._answer = answer
        self.child, self.fd = pty.fork()
        if self.child == 0:  # pragma: no cover
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # what runs the tests may ignore it, as `&` in a script does
            os.environ.update(TERM="xterm-256color", XDG_STATE_HOME=str(home), PATH="/nowhere", TMUX="")
            os.execv(sys.executable, [sys.executable, "-m", "clip_spark.jobs.search", "--index", index])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.until(PROMPT)

    def say(self, line: str, wait: bool = True) -> str:
        """Type a line; returns what came until the next prompt."""
        start = len(self.shown)
        os.write(self.fd, line.encode())
        if wait:
            self.until(PROMPT, start)
        return self.shown[start:].decode()

    def interrupt(self) -> None:
        """Ctrl-C until a prompt comes, as a person does: CPython notices one between two keys only at the next."""
        self.until(PROMPT, len(self.shown), b"\x03", every=2.0)

    def until(self, pattern: bytes, start: int = 0, typed: bytes = b"", every: float = 5.0) -> None:
        """Read until it comes; what is typed is typed again, for an earlier Ctrl-C may come late and clear it."""
        end, again = time.monotonic() + SECONDS, 0.0
        while not re.search(pattern, self.shown[start:]):
            assert time.monotonic() < end, self.shown.decode()
            if typed and time.monotonic() >= again:
                os.write(self.fd, typed)
                again = time.monotonic() + every
            self._listen(0.2)

    def _listen(self, seconds: float) -> None:
        if select.select([self.fd], [], [], seconds)[0]:
            found = os.read(self.fd, 65_536)
            if b"\x1b[c" in found:
                os.write(self.fd, self._answer)
            self.shown += found

    def leave(self) -> int:
        """Ctrl-D until it ends, since one that comes while the terminal changes its mode is lost; the exit status."""
        end = time.monotonic() + SECONDS
        while not (ended := os.waitpid(self.child, os.WNOHANG))[0]:
            if time.monotonic() > end:
                os.kill(self.child, signal.SIGKILL)
                os.waitpid(self.child, 0)
                pytest.fail(f"it does not end: {self.shown.decode()}")
            with contextlib.suppress(OSError):  # it has closed its end
                os.write(self.fd, b"\x04")
                if select.select([self.fd], [], [], 1.0)[0]:
                    self.shown += os.read(self.fd, 65_536)
        return os.waitstatus_to_exitcode(ended[1])


@pytest.fixture(scope="module")
def indices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_indices(tmp_path_factory.mktemp("prompt"), 12)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def terminal(indices: dict[str, str], home: Path) -> Iterator[Terminal]:
    found = Terminal(indices["images"], home, PLAIN)
    yield found
    assert found.leave() == 0


def test_a_prompt_answers_changes_its_options_and_survives_mistakes(terminal: Terminal, home: Path) -> None:
    table = terminal.say("a face\n")
    assert "│   10 │" in table and max(map(len, plain(table).splitlines())) <= 80
    assert "…" in table  # URIs are cut
    assert len(re.findall(r"│ +\d+ │", terminal.say(":k 2\n") + terminal.say(":like 3\n"))) == 2
    assert "No hits." in terminal.say(":where caption = 'no such'\n") + terminal.say("face\n")
    for line, message in [
        (":where colour = 1", "no such column"), (":zap", "There is no ':zap'"), (":like 77", "There is no hit '77'"),
        (":k many", "whole number"), (":image nothing.png", "does not exist"), (":query 'a' 'b'", "not understood"),
        (":index nowhere", "does not exist"), (":image", "Give a picture"),
    ]:  # fmt: skip
        found = terminal.say(line + "\n").splitlines()
        assert message in " ".join(found), found
        assert "Traceback" not in " ".join(found)
    assert "No hits." not in terminal.say(":where\n") + terminal.say("face\n")


def test_ctrl_c_clears_the_line_and_never_ends_the_prompt(terminal: Terminal) -> None:
    terminal.say(":zap", wait=False)
    terminal.until(b":zap")
    terminal.interrupt()
    os.write(terminal.fd, b"\x03" * 5)
    terminal.until("┘".encode(), len(terminal.shown), b"face\n")  # a table
    assert "There is no ':zap" not in terminal.shown.decode()


def test_another_index_is_a_folder_beside_this_one_and_its_texts_are_shown_not_obeyed(
    terminal: Terminal, indices: dict[str, str]
) -> None:
    name = Path(indices["words"]).name
    assert f"texts in {indices['words']}" in terminal.say(f":index {name}\n")
    assert HOSTILE in terminal.say(":k 20\n") + terminal.say("face\n").replace("\r\n", "")
    assert "is no picture" in terminal.say(":open 1\n")


def test_what_was_typed_is_remembered_for_its_owner_alone(indices: dict[str, str], tmp_path: Path) -> None:
    first = Terminal(indices["images"], tmp_path, PLAIN)
    first.say("a cat with a hat\n")
    assert first.leave() == 0
    file = tmp_path / "clip-spark" / "search-history"
    assert "a cat with a hat" in file.read_text() and stat.S_IMODE(file.stat().st_mode) == 0o600
    second = Terminal(indices["images"], tmp_path, PLAIN)
    assert "a cat with a hat" in second.say("\x1b[A\n")  # arrow up
    assert second.leave() == 0


@pytest.mark.parametrize(("answer", "mark"), [(KITTY, "\x1b_Ga=T"), (SIXEL, "\x1bPq"), (PLAIN, "")])
def test_pictures_are_inside_where_the_terminal_says_so(
    indices: dict[str, str], home: Path, answer: bytes, mark: str
) -> None:
    found = Terminal(indices["images"], home, answer)
    shown = found.say("face\n")
    assert (mark in shown) if mark else ("\x1b_G" not in shown and "\x1bP" not in shown)
    assert found.leave() == 0


def test_no_terminal_no_pictures_and_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_protocol({"TERM": "xterm-kitty"}) == ""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert find_protocol({"TERM": "dumb"}) == find_protocol({"TERM": "xterm", "TMUX": "x"}) == ""
    assert attributes("junk\x1b[?62;4;22c") == ["62", "4", "22"] and attributes("") == []


def test_kitty_and_iterm_get_the_very_bytes() -> None:
    png = picture(np.random.default_rng(0).integers(0, 255, (70, 90, 3), dtype=np.uint8))
    parts = re.findall("\x1b_G([^;]*);([^\x1b]*)\x1b\\\\", escapes("kitty", png))
    assert base64.b64decode("".join(text for _, text in parts)) == png and len(parts) > 2
    assert all(len(text) <= 4096 for _, text in parts)
    assert [head[-3:] for head, _ in parts] == ["m=1"] * (len(parts) - 1) + ["m=0"]
    assert base64.b64decode(escapes("iterm", png).strip("\x07\n").rpartition(":")[2]) == png


@pytest.mark.parametrize("height", [1, 6, 7, 20])
def test_sixels_are_the_picture(height: int) -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], np.uint8)
    pixels = colours[np.random.default_rng(1).integers(0, 4, (height, 31))]
    np.testing.assert_array_equal(drawn(escapes("sixel", picture(pixels)), height, 31), pixels)


def drawn(text: str, height: int, width: int) -> np.ndarray:
    """What a terminal makes of sixels, by their definition."""
    body = re.fullmatch(r'\x1bPq"1;1;\d+;\d+(.*)\x1b\\\n', text, re.DOTALL)[1]  # type: ignore[index]
    named = {
        int(n): [round(int(v) * 2.55) for v in rgb.split(";")] for n, rgb in re.findall(r"#(\d+);2;([\d;]+)", body)
    }
    out, x, top, colour, repeat = np.zeros((height + 6, width, 3), np.uint8), 0, 0, 0, 1
    for number, count, letter, move in re.findall(r"#(\d+)|!(\d+)|([?-~])|([$-])", re.sub(r"#\d+;2;[\d;]+", "", body)):
        if number:
            colour = int(number)
        elif count:
            repeat = int(count)
        elif letter:
            for bit in range(6):
                if (ord(letter) - 63) >> bit & 1:
                    out[top + bit, x : x + repeat] = named[colour]
            x, repeat = x + repeat, 1
        else:
            x, top = 0, top + 6 * (move == "-")
    return out[:height]


def picture(pixels: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def plain(text: str) -> str:
    return re.sub("\x1b\\[[0-9;?]*[a-z]", "", text)


def test_paths_are_cut_in_the_middle_and_ids_are_not() -> None:
    uri, record_id = "s3://bucket/" + "folder/" * 20 + "cat.png", "0123456789abcdef" * 2
    rows = cut_paths([["1", record_id, uri]], ("rank", "record_id", "uri"), 90)
    assert rows[0][1] == record_id and len(rows[0][2]) == 90 - 1 - 32 - 4 - 9 and rows[0][2].endswith("cat.png")
    assert cut("tar://0058-mask.png::/a/long/way/to/00000.tar", 30).startswith("tar://0058-mask.png::")
    assert cut("short", 20) == "short"
