"""`clip-spark mcp`: searching for agents, as tools of the Model Context Protocol on standard input and output."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import command_main
from clip_spark.commands.options import RunOptions
from clip_spark.errors import UserError
from clip_spark.web.agent_spec import AgentSpec


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, open the indices, answer until the input ends; returns the exit status."""

    def work(spec: AgentSpec, _: RunOptions) -> None:
        try:
            from clip_spark.web.agent_server import run
        except ModuleNotFoundError as error:
            raise UserError(f"mcp needs '{error.name}': pip install 'clip-spark[mcp]'.") from error
        run(spec)

    return command_main("mcp", argv, work)


if __name__ == "__main__":
    sys.exit(main())
