"""Write clip_spark/__init__.pyi: the public API with every option of every step, for editors and type checkers.

python scripts/make_stub.py           # write it
python scripts/make_stub.py --check   # exit status 1 if it is not what would be written
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import clip_spark
from clip_spark.api.options import Numbers, Text, Texts
from clip_spark.api.steps import step_function, step_names

ROOT = Path(__file__).resolve().parents[1]
STUB = ROOT / "clip_spark" / "__init__.pyi"
HEAD = '''"""Written by scripts/make_stub.py from the registry of commands; do not edit."""
# ruff: noqa: E501

from clip_spark.api.options import Numbers, Text, Texts
'''


def imports() -> str:
    """One line for each name that a module of ours has."""
    places = {name: place for name, place in clip_spark._PLACES.items() if name not in clip_spark._STEPS}
    return "".join(f"from clip_spark.{place} import {name} as {name}\n" for name, place in sorted(places.items()))


def step(name: str) -> str:
    """The declaration of a step, with its docstring."""
    function = step_function(name)
    parameters = inspect.signature(function).parameters.values()
    lines = [f"    {p.name}: {annotation(p.annotation)}{default(p)}," for p in parameters]
    doc = inspect.getdoc(function).replace("\\", "\\\\")
    body = "\n".join(f"    {line}".rstrip() for line in f'"""{doc}\n"""'.splitlines())
    return f"def {function.__name__}(\n    *,\n" + "\n".join(lines) + f"\n) -> Dataset:\n{body}\n"


def annotation(hint: object) -> str:
    """A type as it is written in source."""
    named = {Text: "Text", Texts: "Texts", Numbers: "Numbers"}
    return named.get(hint) or (hint.__name__ if isinstance(hint, type) else str(hint))


def default(parameter: inspect.Parameter) -> str:
    """The default as it is written in source; none for what is required."""
    return "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default!r}"


def stub() -> str:
    """The whole file, in the project's format."""
    listed = ", ".join(f'"{name}"' for name in clip_spark.__all__)
    steps = "\n".join(step(name) for name in sorted(step_names().values()))
    text = f"{HEAD}{imports()}\n__version__: str\n__all__ = [{listed}]\n\n{steps}"
    for verb in (("check", "--quiet", "--fix", "--select", "I"), ("format",)):
        command = [sys.executable, "-m", "ruff", *verb, "--stdin-filename", str(STUB), "-"]
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return text


def main() -> int:
    """Write or compare; returns the exit status."""
    text = stub()
    if "--check" in sys.argv[1:]:
        return int(not STUB.exists() or STUB.read_text() != text)
    STUB.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
