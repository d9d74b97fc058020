"""*Worker.* The one place that imports open_clip: without torch's compiler, timm and transformers, if none is needed.

torchvision asks the compiler for one function, and so loads all of it; timm loads all of its models, and the compiler
again. Together they are half of the time in which a worker or a search starts.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

COMPILER = ("torch._dynamo", "torch._dynamo.utils")
TIMM, TRANSFORMERS = "timm", "transformers"
TOWERS = {TIMM: "open_clip.timm_model", TRANSFORMERS: "open_clip.hf_model"}
"""Where open_clip makes towers of other libraries."""


def load_open_clip(*libraries: str) -> Any:
    """*Worker.* The open_clip module; with what it takes to make towers of some other libraries: TIMM, TRANSFORMERS."""
    if "open_clip" not in sys.modules:
        with _compiler_at_first_call(), _absent(TIMM), _absent(TRANSFORMERS):
            import torchvision  # noqa: F401

            importlib.import_module("open_clip")
    for name in libraries:
        if vars(sys.modules[TOWERS[name]])[name] is None:
            importlib.reload(sys.modules[TOWERS[name]])  # into the same names, which its classes look up
    return sys.modules["open_clip"]


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """An import of a module that was not imported yet fails, as if it were not installed."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def _compiler_at_first_call() -> Iterator[None]:
    """torch's compiler has only the function that torchvision imports, and that one loads the real compiler."""
    import torch

    if any(name in sys.modules for name in COMPILER):
        yield
        return
    package, utils = map(ModuleType, COMPILER)
    package.utils, utils.is_compile_supported = utils, _is_compile_supported  # type: ignore[attr-defined]
    sys.modules.update({package.__name__: package, utils.__name__: utils})
    try:
        yield
    finally:
        for module in (package, utils):
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]
        if vars(torch).get("_dynamo") is package:  # getattr would import it
            del torch._dynamo


def _is_compile_supported(device: Any) -> bool:
    from torch._dynamo.utils import is_compile_supported

    return bool(is_compile_supported(device))
