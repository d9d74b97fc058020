"""`clip-spark submit TARGET ... STEP ...`: print, or with --send send, the request that runs a step there.

The step's own options are checked here first, so that a mistake costs no cluster time.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence

from clip_spark.commands.console import guarded, say
from clip_spark.commands.options import key_value, parse_spec, plain_parser
from clip_spark.commands.registry import COMMANDS, STEPS
from clip_spark.commands.submit import REQUESTS, ClusterJob, check_places, send
from clip_spark.errors import SpecError, nearest


def parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, ClusterJob]:
    """The command line: our options, then the step with its own."""
    parser = plain_parser(COMMANDS["submit"])
    parser.add_argument("target", choices=sorted(REQUESTS))
    parser.add_argument(
        "--cluster",
        default="",
        help="EMR cluster id, EMR Serverless application id, Dataproc cluster, or spark://host:port",
    )
    parser.add_argument("--code", required=True, help="URI with what scripts/package.py made")
    parser.add_argument(
        "--environment", default="", help="URI of environment.tar.gz; empty: the machines have the packages"
    )
    parser.add_argument("--role", default="", help="role ARN of the job (EMR Serverless)")
    parser.add_argument("--project", default="", help="project (Dataproc)")
    parser.add_argument("--region", default="", help="region (Dataproc; AWS with --send)")
    parser.add_argument(
        "--conf", action="append", default=[], type=key_value, metavar="KEY=VALUE", help="a Spark setting"
    )
    sending = parser.add_mutually_exclusive_group()
    sending.add_argument("--dry-run", action="store_true", help="only print the request (the default)")
    sending.add_argument("--send", action="store_true", help="really send it")
    parser.add_argument("step", metavar="STEP", help="the command to run there, then its options")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    place = {name: getattr(given, name) for name in ("cluster", "role", "project", "region")}
    job = ClusterJob(given.step, tuple(given.arguments), given.code, given.environment, dict(given.conf), place)
    return given, job


def check_step(job: ClusterJob) -> None:
    """Raise SpecError if the step does not exist, or one of its options is wrong or names a local path."""
    if job.step not in STEPS:
        raise SpecError(f"There is no step '{job.step}' to submit.{nearest(job.step, STEPS)}")
    spec, _ = parse_spec(STEPS[job.step], list(job.arguments))
    check_places(spec)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, check, print or send; returns the exit status."""

    def work() -> None:
        given, job = parse(argv)
        check_step(job)
        request = REQUESTS[given.target](job)
        say(shlex.join(request["command"]) if "command" in request else json.dumps(request, indent=1))
        if given.send:
            say(f"sent: {send(given.target, request, given.region)}")

    return guarded("submit", work)


if __name__ == "__main__":
    sys.exit(main())
