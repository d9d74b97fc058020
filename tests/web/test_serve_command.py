"""`clip-spark serve` as a process: says where it is, ends in order, and refuses what cannot work."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from clip_spark.errors import SpecError
from clip_spark.jobs import serve
from clip_spark.web.server import listen
from clip_spark.web.spec import ServeSpec, named_uris
from tests.web.served import start_server, wait_ready


def test_it_says_where_it_is_and_ends_with_ctrl_c(indices: dict[str, str], tmp_path: Path) -> None:
    process = start_server(indices, tmp_path / "log")
    try:
        url = wait_ready(process, tmp_path / "log")
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{url}search?q=cat&k=2") as answer:
            assert len(json.load(answer)["hits"]) == 2
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        said = (tmp_path / "log").read_text()
        assert "Traceback" not in said
        assert '"path": "/search"' not in said  # requests are logged only where that was asked for
    finally:
        process.kill()


def test_a_taken_port_is_said_before_anything_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert serve.main(["--index", "nowhere", "--port", str(taken.getsockname()[1])]) == 2
    assert "--port 0 takes a free port" in capsys.readouterr().err


def test_an_index_that_is_not_there_is_the_users_mistake(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert serve.main(["--index", str(tmp_path / "none"), "--port", "0"]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_indices_have_names() -> None:
    found = named_uris(("pictures=out/a", "s3://bucket/x=1/words/", "c"))
    assert found == {"pictures": "out/a", "words": "s3://bucket/x=1/words/", "c": "c"}
    with pytest.raises(SpecError, match="Two indices are called 'index'"):
        ServeSpec(index=("a/index", "b/index"))


@pytest.mark.parametrize(
    "changes", [{"index": ()}, {"port": -1}, {"port": 70_000}, {"max_k": 0}, {"max_upload": "much"}]
)
def test_options_that_cannot_work_are_refused(changes: dict) -> None:
    with pytest.raises(SpecError):
        ServeSpec(**{"index": ("i",), **changes})


def test_answers_do_not_wait_for_acknowledgements() -> None:
    async def accepted_sockets_say() -> int:
        said = asyncio.get_running_loop().create_future()

        class Note(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                own = transport.get_extra_info("socket")
                said.set_result(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

        with listen("127.0.0.1", 0) as listener:
            server = await asyncio.get_running_loop().create_server(Note, sock=listener)
            async with server:
                with socket.create_connection(listener.getsockname()):
                    return await said

    assert asyncio.run(accepted_sockets_say()) == 1
