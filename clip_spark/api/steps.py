"""*Driver.* Every step of the registry as a function with keyword options that returns the finished dataset."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from clip_spark.api.dataset import Dataset
from clip_spark.api.options import in_python_words, keywords, option_lines, plain
from clip_spark.api.session import own_job_group, session
from clip_spark.commands.options import make_spec
from clip_spark.commands.registry import STEPS

AFTER = """
Returns:
    The finished dataset. What an earlier run with the same options has done is not done again.

Raises:
    UserError: an option, an input or the output folder cannot be used; found before any work.
    TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
"""


def step_names() -> dict[str, str]:
    """*Driver.* Name of the function -> name of the step."""
    return {name.replace("-", "_"): name for name in STEPS}


@cache
def step_function(name: str) -> Callable[..., Dataset]:
    """*Driver.* The function of a step, such as `count-ngrams`; its signature and docstring come from the spec."""
    command = STEPS[name]
    spec_class = command.spec_class

    def run(**options: Any) -> Dataset:
        with in_python_words(spec_class, options):
            spec = make_spec(spec_class, {key: plain(value) for key, value in options.items()})
            with own_job_group():
                return Dataset(command.run(session, spec))

    run.__name__ = run.__qualname__ = name.replace("-", "_")
    run.__module__ = "clip_spark"
    run.__doc__ = step_doc(name)
    run.__signature__ = inspect.Signature(keywords(spec_class), return_annotation=Dataset)  # type: ignore[attr-defined]
    return run


def step_doc(name: str) -> str:
    """*Driver.* The docstring of a step."""
    command = STEPS[name]
    first = f"{command.help[:1].upper()}{command.help[1:]}."
    return "\n".join([first, "", "Args:", *option_lines(command.spec_class), AFTER])
