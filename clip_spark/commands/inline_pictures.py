"""*Driver.* Pictures inside a terminal that can show them: asked, not guessed, for names in the environment lie.

kitty's protocol, iTerm2's, and sixels. A terminal that answers nothing within a moment shows no pictures.
"""

from __future__ import annotations

import base64
import io
import os
import re
import select
import sys
import time
from collections.abc import Mapping
from typing import Any

ASK_KITTY = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
ASK_ATTRIBUTES = "\x1b[c"
"""Every terminal answers this; whoever knows kitty's question has answered that before."""
SECONDS = 0.5
CHUNK, COLOURS, BAND = 4096, 64, 6
"""Bytes of one of kitty's escapes; colours and rows of a band of sixels."""


def find_protocol(environment: Mapping[str, str]) -> str:
    """*Driver.* `kitty`, `iterm`, `sixel`, or an empty string where this terminal shows no pictures."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or environment.get("TERM", "dumb") == "dumb":
        return ""
    if environment.get("TMUX") or environment.get("TERM", "").startswith(("screen", "tmux")):
        return ""  # what is inside cannot be trusted to reach the outside
    answer = ask(ASK_KITTY + ASK_ATTRIBUTES)
    if "\x1b_Gi=31;OK" in answer:
        return "kitty"
    if "iTerm" in (environment.get("LC_TERMINAL", "") or environment.get("TERM_PROGRAM", "")):
        return "iterm"
    return "sixel" if "4" in attributes(answer)[1:] else ""


def attributes(answer: str) -> list[str]:
    """*Pure.* The numbers of a terminal's answer to ASK_ATTRIBUTES; its kind comes first."""
    found = re.search(r"\x1b\[\?([\d;]*)c", answer)
    return found[1].split(";") if found else []


def ask(question: str) -> str:
    """*Driver.* What the terminal answers to a question that ends with ASK_ATTRIBUTES; empty if it stays silent."""
    import termios
    import tty

    stream = sys.stdin.fileno()
    before, answer = termios.tcgetattr(stream), b""
    try:
        tty.setcbreak(stream)
        os.write(sys.stdout.fileno(), question.encode())
        end = time.monotonic() + SECONDS
        while not re.search(rb"\x1b\[\?[\d;]*c", answer) and (left := end - time.monotonic()) > 0:
            if select.select([stream], [], [], left)[0]:
                answer += os.read(stream, 1024)
    finally:
        termios.tcsetattr(stream, termios.TCSADRAIN, before)
    return answer.decode("latin-1")


def escapes(protocol: str, png: bytes) -> str:
    """*Pure.* What shows a picture (the bytes of a PNG) in a terminal of that protocol."""
    if protocol == "sixel":
        return sixels(png)
    text = base64.b64encode(png).decode()
    if protocol == "iterm":
        return f"\x1b]1337;File=inline=1;size={len(png)}:{text}\x07\n"
    parts = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    heads = ["a=T,f=100,q=2,m=1", *["m=1"] * (len(parts) - 1)]
    heads[-1] = heads[-1].replace("m=1", "m=0")
    return "".join(f"\x1b_G{head};{part}\x1b\\" for head, part in zip(heads, parts, strict=True)) + "\n"


def sixels(png: bytes) -> str:
    """*Pure.* A picture as sixels: bands of six rows, in each band one line for every colour in it."""
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(png), formats=["PNG"]) as opened:
        picture = opened.convert("RGB").quantize(COLOURS)
    palette = picture.getpalette() or []
    pixels = np.asarray(picture)
    height, width = pixels.shape
    colours = [palette[3 * colour : 3 * colour + 3] for colour in range(int(pixels.max()) + 1)]
    named = [f"#{n};2;" + ";".join(str(round(value / 2.55)) for value in rgb) for n, rgb in enumerate(colours)]
    bands = [_band(pixels[top : top + BAND]) for top in range(0, height, BAND)]
    return f'\x1bPq"1;1;{width};{height}{"".join(named)}{"-".join(bands)}\x1b\\\n'


def _band(rows: Any) -> str:
    """*Pure.* Up to six rows of colours, uint8 (rows, width)."""
    import numpy as np

    weights = (1 << np.arange(len(rows)))[:, None]
    lines = []
    for colour in np.unique(rows).tolist():
        bits = ((rows == colour) * weights).sum(axis=0)
        text = "".join(chr(63 + value) for value in bits.tolist())
        lines.append(f"#{colour}" + re.sub(r"(.)\1{3,}", lambda run: f"!{len(run[0])}{run[1]}", text))
    return "$".join(lines)
