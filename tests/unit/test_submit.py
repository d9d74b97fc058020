"""Requests to clouds, checked against what the clouds' own models accept; nothing is sent anywhere."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from clip_spark.commands.submit import (
    ClusterJob,
    dataproc_request,
    emr_request,
    emr_serverless_request,
    gcloud_command,
    read_conf,
    send,
    standalone_request,
)
from clip_spark.errors import SpecError
from clip_spark.jobs import submit as command

ARGUMENTS = ("--records", "s3://b/records", "--output", "s3://b/embeddings", "--prefix", "a photo of a ")
JOB = ClusterJob(
    step="embed-text",
    arguments=ARGUMENTS,
    code="s3://b/code",
    environment="s3://b/code/environment.tar.gz",
    conf={"spark.executor.instances": "8"},
    place={"cluster": "j-1", "role": "arn:aws:iam::123456789012:role/clip", "project": "p", "region": "europe-west1"},
)


@pytest.fixture
def _aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


@pytest.mark.parametrize("name", ["local", "standalone", "emr-gpu", "dataproc-gpu"])
def test_every_line_of_a_conf_file_is_a_setting_with_a_value(name: str) -> None:
    conf = read_conf(name)
    assert conf and all(key.startswith("spark.") and value and "#" not in value for key, value in conf.items())
    assert "spark.task.resource.gpu.amount" not in conf  # it would hold the counting stages to one task per GPU


def test_an_emr_step_is_accepted_and_kept(_aws: None) -> None:
    boto3, moto = pytest.importorskip("boto3"), pytest.importorskip("moto")
    with moto.mock_aws():
        client = boto3.client("emr")
        cluster = client.run_job_flow(
            Name="c", ReleaseLabel="emr-7.13.0", Instances={"KeepJobFlowAliveWhenNoSteps": True}
        )["JobFlowId"]
        step = send("emr", emr_request(replace(JOB, place={"cluster": cluster})), "us-east-1")
        kept = client.describe_step(ClusterId=cluster, StepId=step)["Step"]["Config"]["Args"]
    assert kept[0] == "spark-submit" and kept[-len(ARGUMENTS) - 1] == "s3://b/code/jobs/embed_text.py"
    assert tuple(kept[-len(ARGUMENTS) :]) == ARGUMENTS  # blanks too
    assert "spark.executor.instances=8" in kept and "spark.executor.instances=2" not in kept
    assert kept[kept.index("--archives") + 1] == "s3://b/code/environment.tar.gz#environment"
    assert "spark.yarn.appMasterEnv.PYSPARK_PYTHON=./environment/bin/python" in kept


def test_an_emr_serverless_run_fits_the_services_model(_aws: None) -> None:
    session = pytest.importorskip("botocore.session")
    from botocore.stub import Stubber

    client = session.get_session().create_client("emr-serverless", region_name="us-east-1")
    request = emr_serverless_request(JOB)
    with Stubber(client) as stub:
        answer = {
            "applicationId": "a",
            "jobRunId": "r",
            "arn": "arn:aws:emr-serverless:us-east-1:123456789012:/applications/a/jobruns/r",
        }
        stub.add_response("start_job_run", answer, request)
        assert client.start_job_run(**request)["jobRunId"] == "r"
    spark = request["jobDriver"]["sparkSubmit"]
    assert spark["entryPointArguments"] == list(ARGUMENTS)
    assert "spark.archives=s3://b/code/environment.tar.gz#environment" in spark["sparkSubmitParameters"]


def test_a_dataproc_job_has_the_shape_of_the_rest_call() -> None:
    request = dataproc_request(replace(JOB, code="gs://b/code"))
    json.dumps(request)
    pyspark = request["job"]["pysparkJob"]
    assert pyspark["mainPythonFileUri"] == "gs://b/code/jobs/embed_text.py"
    assert pyspark["properties"]["spark.executor.instances"] == "8"
    assert request["job"]["placement"] == {"clusterName": "j-1"}
    assert gcloud_command(request)[-len(ARGUMENTS) - 1 :] == ["--", *ARGUMENTS]


def test_a_dataproc_job_fits_googles_messages() -> None:
    dataproc = pytest.importorskip("google.cloud.dataproc_v1")
    request = dataproc_request(JOB)
    message = dataproc.Job.from_json(json.dumps(request["job"]), ignore_unknown_fields=False)
    assert list(message.pyspark_job.args) == list(ARGUMENTS)


def test_a_standalone_command_runs_the_driver_here() -> None:
    command = standalone_request(replace(JOB, place={"cluster": "spark://host:7077"}))["command"]
    assert command[:3] == ["spark-submit", "--master", "spark://host:7077"] and "--deploy-mode" not in command


def test_the_command_prints_the_request_and_sends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    status = command.main(["emr", "--cluster", "j-1", "--code", "s3://b/code", "embed-text", *ARGUMENTS])
    printed = json.loads(capsys.readouterr().out)
    assert status == 0 and printed["JobFlowId"] == "j-1"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["emr", "--code", "s3://b/c", "embed-text", *ARGUMENTS], "--cluster is missing"),
        (["emr", "--cluster", "j", "--code", "s3://b/c", "embed-txt"], "Did you mean 'embed-text'"),
        (["emr", "--cluster", "j", "--code", "s3://b/c", "embed-text", "--recrods", "s3://b/r"], "no option --recrods"),
        (
            ["emr", "--cluster", "j", "--code", "s3://b/c", "embed-text", "--records", "r", "--output", "s3://b/e"],
            "--records 'r' is on this machine",
        ),
    ],
)
def test_mistakes_are_found_before_anything_is_sent(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(argv) == 2
    assert said in capsys.readouterr().err


def test_a_missing_place_is_a_spec_error() -> None:
    with pytest.raises(SpecError, match="--role is missing"):
        emr_serverless_request(replace(JOB, place={"cluster": "a"}))
