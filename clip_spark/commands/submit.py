"""*Driver.* From a step and its options to the request that runs it on EMR, EMR Serverless, Dataproc or standalone.

One pure function per platform, all from the same ClusterJob; nothing here talks to a cloud except `send`. What the
cluster needs lies below one URI, made by `scripts/package.py` and copied there:

    <code>/clip_spark.zip        our code, for --py-files
    <code>/jobs/<step>.py        the job file
    <code>/environment.tar.gz    Python packages, for --archives, unless the machines have them
"""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from clip_spark import storage
from clip_spark.datasets.spec import URI
from clip_spark.errors import ClipSparkError, SpecError, UserError

ENVIRONMENT = "environment"
"""The folder into which Spark unpacks the archive, on every machine."""
PACKED_PYTHON = f"./{ENVIRONMENT}/bin/python"
CONF_OF = {"emr": "emr-gpu", "emr-serverless": "", "dataproc": "dataproc-gpu", "standalone": "standalone"}
"""Target -> file in conf/spark; EMR Serverless has no GPUs, and sizes its workers by itself."""


@dataclass(frozen=True)
class ClusterJob:
    """A step to be run on a cluster.

    Attributes:
        step: the command, such as `embed-text`.
        arguments: its options.
        code: the URI below which the code lies.
        environment: URI of the packed environment; empty when the machines have the packages.
        conf: Spark settings that win over those of the target's conf file.
        place: what the target calls the cluster: id, name or URL, region, project, role.
    """

    step: str
    arguments: tuple[str, ...]
    code: str
    environment: str = ""
    conf: Mapping[str, str] = field(default_factory=dict)
    place: Mapping[str, str] = field(default_factory=dict)

    @property
    def script(self) -> str:
        """URI of the job file."""
        return storage.join(self.code, "jobs", f"{self.step.replace('-', '_')}.py")

    @property
    def code_zip(self) -> str:
        """URI of our code."""
        return storage.join(self.code, "clip_spark.zip")

    @property
    def archive(self) -> str:
        """The archive as Spark wants it, with the folder's name."""
        return f"{self.environment}#{ENVIRONMENT}" if self.environment else ""


def read_conf(name: str) -> dict[str, str]:
    """*Driver.* The settings of `conf/spark/<name>.conf`; empty for no name."""
    if not name:
        return {}
    lines = (files("clip_spark.conf") / "spark" / f"{name}.conf").read_text().splitlines()
    pairs = (line.split(None, 1) for line in lines if line.strip() and not line.startswith("#"))
    return {key: value.strip() for key, value in pairs}


def check_places(spec: Any) -> None:
    """*Pure.* Raise SpecError for a local path: the machines of a cluster do not see it."""
    for option in dataclasses.fields(spec):
        value = getattr(spec, option.name) if option.metadata["holds"] == URI else ()
        for uri in (value,) if isinstance(value, str) else value:
            if uri and storage.is_local(uri):
                name = option.name.replace("_", "-")
                raise SpecError(f"--{name} '{uri}' is on this machine; a cluster needs s3://, gs:// or the like.")


def spark_submit(job: ClusterJob, conf: Mapping[str, str]) -> list[str]:
    """*Pure.* The arguments of spark-submit, the program itself left out."""
    archives = ["--archives", job.archive] if job.archive else []
    settings = [text for key, value in conf.items() for text in ("--conf", f"{key}={value}")]
    return ["--py-files", job.code_zip, *archives, *settings, job.script, *job.arguments]


def emr_request(job: ClusterJob) -> dict[str, Any]:
    """*Pure.* Arguments of EMR's AddJobFlowSteps."""
    conf = {**read_conf(CONF_OF["emr"]), **_yarn_python(job), **job.conf}
    step = {
        "Name": f"clip-spark {job.step}",
        "ActionOnFailure": "CONTINUE",  # a failed step is resumed by submitting it again; the cluster stays
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["spark-submit", *spark_submit(job, conf)]},
    }
    return {"JobFlowId": _needed(job, "cluster"), "Steps": [step]}


def emr_serverless_request(job: ClusterJob) -> dict[str, Any]:
    """*Pure.* Arguments of EMR Serverless' StartJobRun."""
    conf = {"spark.submit.pyFiles": job.code_zip, **_serverless_python(job), **job.conf}
    return {
        "applicationId": _needed(job, "cluster"),
        "executionRoleArn": _needed(job, "role"),
        "name": f"clip-spark {job.step}",
        "executionTimeoutMinutes": 0,  # its default of 12 hours ends long runs
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": job.script,
                "entryPointArguments": list(job.arguments),
                "sparkSubmitParameters": shlex.join(f for k, v in conf.items() for f in ("--conf", f"{k}={v}")),
            }
        },
    }


def dataproc_request(job: ClusterJob) -> dict[str, Any]:
    """*Pure.* The body of Dataproc's REST call `jobs:submit`, with project and region beside it."""
    pyspark = {
        "mainPythonFileUri": job.script,
        "args": list(job.arguments),
        "pythonFileUris": [job.code_zip],
        "archiveUris": [job.archive] if job.archive else [],
        "properties": {**read_conf(CONF_OF["dataproc"]), **_yarn_python(job), **job.conf},
    }
    return {
        "projectId": _needed(job, "project"),
        "region": _needed(job, "region"),
        "job": {"placement": {"clusterName": _needed(job, "cluster")}, "pysparkJob": pyspark},
    }


def standalone_request(job: ClusterJob) -> dict[str, Any]:
    """*Pure.* The command for a standalone cluster; the driver runs here, as Spark allows no other way for Python."""
    python = {"spark.pyspark.python": PACKED_PYTHON} if job.environment else {}
    conf = {**read_conf(CONF_OF["standalone"]), **python, **job.conf}
    return {"command": ["spark-submit", "--master", _needed(job, "cluster"), *spark_submit(job, conf)]}


REQUESTS: dict[str, Callable[[ClusterJob], dict[str, Any]]] = {
    "emr": emr_request,
    "emr-serverless": emr_serverless_request,
    "dataproc": dataproc_request,
    "standalone": standalone_request,
}


def _yarn_python(job: ClusterJob) -> dict[str, str]:
    names = ("spark.yarn.appMasterEnv.PYSPARK_PYTHON", "spark.executorEnv.PYSPARK_PYTHON")
    return dict.fromkeys(names, PACKED_PYTHON) if job.environment else {}


def _serverless_python(job: ClusterJob) -> dict[str, str]:
    if not job.environment:
        return {}
    prefix = "spark.emr-serverless.driverEnv"
    names = (f"{prefix}.PYSPARK_DRIVER_PYTHON", f"{prefix}.PYSPARK_PYTHON", "spark.executorEnv.PYSPARK_PYTHON")
    return {"spark.archives": job.archive, **dict.fromkeys(names, PACKED_PYTHON)}


def _needed(job: ClusterJob, name: str) -> str:
    if not job.place.get(name):
        raise SpecError(f"--{name} is missing; this target needs it.")
    return job.place[name]


def send(target: str, request: dict[str, Any], region: str) -> str:
    """*Driver.* Really send a request; returns what the cloud calls the job.

    Raises:
        UserError: boto3 or gcloud is not installed.
        ClipSparkError: the cloud refused it.
    """
    if target == "dataproc":
        return run_command(gcloud_command(request))
    if target == "standalone":
        return run_command(request["command"])
    try:
        import boto3
    except ImportError as error:
        raise UserError("boto3 is not installed; install it with `pip install 'clip-spark[submit]'`.") from error
    client = boto3.client(target, region_name=region or None)
    if target == "emr":
        return str(client.add_job_flow_steps(**request)["StepIds"][0])
    return str(client.start_job_run(**request)["jobRunId"])


def gcloud_command(request: dict[str, Any]) -> list[str]:
    """*Pure.* The gcloud command of a Dataproc request; `^;^` lets a value hold commas."""
    spark = request["job"]["pysparkJob"]
    properties = ";".join(f"{key}={value}" for key, value in spark["properties"].items())
    return [
        *("gcloud", "dataproc", "jobs", "submit", "pyspark", spark["mainPythonFileUri"]),
        f"--project={request['projectId']}",
        f"--region={request['region']}",
        f"--cluster={request['job']['placement']['clusterName']}",
        f"--py-files={','.join(spark['pythonFileUris'])}",
        *([f"--archives={','.join(spark['archiveUris'])}"] if spark["archiveUris"] else []),
        f"--properties=^;^{properties}",
        *("--async", "--format=value(reference.jobId)", "--"),
        *spark["args"],
    ]


def run_command(command: Sequence[str]) -> str:
    """*Driver.* Run a command to its end; returns the last line that it printed."""
    try:
        done = subprocess.run(list(command), stdout=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError as error:
        raise UserError(f"'{command[0]}' was not found; install it, or send the request that is printed.") from error
    if done.returncode != 0:
        raise ClipSparkError(f"'{command[0]}' ended with status {done.returncode}.")
    return done.stdout.strip().rsplit("\n", 1)[-1]
