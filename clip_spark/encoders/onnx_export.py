"""*Worker.* The picture tower of a model as an ONNX file, written once per machine, weights and version.

The graph takes uint8 pixels and gives vectors of length 1, so that nothing of a pass is left to torch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clip_spark.encoders.loading import first_line
from clip_spark.errors import ModelError
from clip_spark.storage.local_cache import cache_folder

if TYPE_CHECKING:
    import torch

PACKAGES = ("onnxruntime", "onnx", "onnxscript")
WRITERS = ("torch", "onnxscript")
FILE, PIXELS, VECTORS = "model.onnx", "pixels", "vectors"
TRACED = 2
"""Pictures that it is exported with; one would be taken for a constant."""


def check_packages() -> None:
    """*Anywhere.* Raises ModelError where ONNX Runtime, or what writes its files, is not installed."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise ModelError(
            f"--backend onnx needs {', '.join(missing)}; install it with `pip install 'clip-spark[onnx]'`, on every "
            "node, or leave --backend out."
        )


def exported(model: Any, normalise: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...], sha: str) -> Path:
    """*Worker.* The ONNX file of a model's picture tower.

    One process of a machine writes it while the others wait; its folder has its name when it is whole.

    Args:
        model: open_clip's, in fp32 on the CPU.
        normalise: uint8 (n, height, width, 3) -> what the tower takes, float32 (n, 3, height, width).
        shape: (height, width, 3).
        sha: of the weights.

    Raises:
        ModelError: something in the tower has no counterpart in ONNX.
    """
    import filelock

    facts = [sha, shape, repr(model.visual), [(name, version(name)) for name in WRITERS]]
    place = cache_folder() / f"onnx-{hashlib.blake2b(repr(facts).encode(), digest_size=12).hexdigest()}"
    with filelock.FileLock(f"{place}.lock"):
        if not place.exists():
            for left in place.parent.glob(f"{place.name}.*/"):  # of a process that was killed: we have the lock
                shutil.rmtree(left)
            _write(model, normalise, shape, place)
    return place / FILE


def _write(model: Any, normalise: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...], place: Path) -> None:
    """Beside its place, then there in one step."""
    aside = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=place.parent))
    try:
        _export(_tower(model, normalise), shape, aside / FILE)
        os.rename(aside, place)
    except OSError:
        raise
    except Exception as error:  # whatever torch or onnxscript say of a tower
        raise ModelError(
            f"The picture tower {type(model.visual).__name__} cannot be written as ONNX ({first_line(error)}); "
            "leave --backend out."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _tower(model: Any, normalise: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Pixels to vectors as one module."""
    import torch

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = model.visual

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.normalize(self.visual(normalise(pixels)), dim=-1)

    return Tower().eval()


def _export(tower: Any, shape: tuple[int, ...], place: Path) -> None:
    """Any number of pictures in one pass; weights in a file beside the graph, which may be larger than its 2 GB."""
    import torch

    pixels = torch.from_numpy(np.zeros((TRACED, *shape), np.uint8))
    with _quiet():
        torch.onnx.export(
            tower, (pixels,), place, dynamo=True, dynamic_shapes=({0: torch.export.Dim("n")},),
            input_names=[PIXELS], output_names=[VECTORS], external_data=True, verbose=False,
        )  # fmt: skip


@contextmanager
def _quiet() -> Iterator[None]:
    """What was not folded, or will be named otherwise one day, is nothing that a user can act on."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "torch.onnx")]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)
