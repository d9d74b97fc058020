"""*Driver.* Standard output that stops no command: any encoding, and nobody who reads on."""

from __future__ import annotations

import io
import os
import sys


def any_characters() -> None:
    """*Driver.* Let a terminal without é show \\xe9, as standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def put(text: str) -> None:
    """*Driver.* Write; where nobody reads on, as after `| head -1`, the command goes on and is not heard."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
