"""*Pure.* What differs between object stores: client settings with bounded retries, and what their errors mean.

Credentials are not here on purpose: every client finds them in its environment (instance role, AWS_* variables,
application default credentials), so none can end up in a pickled task or a log.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clip_spark.errors import InputError, StorageError

ATTEMPTS = 6
"""Tries per request with jittered exponential waits (about 0.5 + 1 + 2 + 4 + 8 s): outlives a throttled prefix."""
BLOCK_BYTES = 16 << 20
"""Bytes per part of a big upload and per read-ahead of a big read; a task holds several at once."""
CONNECT_SECONDS, SILENT_SECONDS, WHOLE_SECONDS, LONGEST_SECONDS = 10, 30, 60, 300
"""Of a web server: to be reached, between two bytes, for a small file, for anything. Links are many and old: hosts that
swallow packets must cost little."""
WEB = ("http://", "https://")
CLIENT_MODULES = {
    *("botocore", "aiobotocore", "aiohttp", "s3fs", "gcsfs", "google", "azure", "adlfs"),
    *("huggingface_hub", "httpx", "httpx2", "httpcore", "requests", "urllib3"),
}
NO_CREDENTIALS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "DefaultCredentialsError",
}


def client_settings() -> dict[str, dict[str, Any]]:
    """*Pure.* Scheme -> arguments of fsspec's client for it.

    Listings are not cached: a cache would hide what another process has just written.
    """
    return {
        "s3": {
            "use_listings_cache": False,
            "default_block_size": BLOCK_BYTES,
            "max_concurrency": 1,  # with more, s3fs asks for the size before every read; tasks are parallel already
            "config_kwargs": {
                # "standard": capped, jittered, and a budget of retries, so that a storm of them does not feed itself.
                "retries": {
                    "mode": os.environ.get("AWS_RETRY_MODE", "standard"),
                    "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS", ATTEMPTS)),
                },
                "connect_timeout": 10,
                "read_timeout": 30,
                "max_pool_connections": 64,  # receipts are read by 32 threads; the default is 10
            },
        },
        "gs": {"use_listings_cache": False, "block_size": BLOCK_BYTES},
        "abfs": {"use_listings_cache": False},
        "http": {"get_client": web_client},
        "https": {"get_client": web_client},
    }


async def web_client(**given: Any) -> Any:
    """*Anywhere.* fsspec's client of web servers, which does not wait for one for long; aiohttp is loaded only here."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=LONGEST_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
    return aiohttp.ClientSession(**{"timeout": timeout, **given})


def is_web(uri: str) -> bool:
    """*Pure.* True for http and https: a link that anybody may have written, not a store of the user's."""
    return uri.lower().startswith(WEB)


def whole_file_settings(uri: str) -> dict[str, Any]:
    """*Pure.* What the client is told when it reads a small file in one request."""
    return {"timeout": WHOLE_SECONDS} if is_web(uri) else {}


@contextmanager
def clear_errors(uri: str, action: str) -> Iterator[None]:
    """*Anywhere.* Turn what an object store's client raises after its retries into one sentence.

    FileNotFoundError and FileExistsError pass: callers tell them apart. A refused key does not: it is not the fault of
    one file, and must not be counted as a bad record.

    Raises:
        StorageError: the store did not answer, throttled for too long, or refuses us.
        InputError: a hub has no such data set, or does not give it to us.
    """
    try:
        yield
    except FileNotFoundError as error:
        cause = error.__cause__  # fsspec says "not found" of a web server that it could not ask, too
        if not is_web(uri) or cause is None or not is_client_error(cause):
            raise
        raise StorageError(f"'{uri}' cannot be {action}: {web_reason(cause)}") from error
    except (FileExistsError, StorageError):
        raise
    except Exception as error:
        if not is_client_error(error):
            raise
        if (mistake := hub_mistake(error)) is not None:
            raise InputError(f"'{uri}' cannot be {action}: {mistake}") from error
        why = web_reason(error) if is_web(uri) else explain(error)
        raise StorageError(f"'{uri}' cannot be {action}: {why}") from error


NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_RIGHT = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def clear_disk_errors(path: str, action: str) -> Iterator[None]:
    """*Anywhere.* Turn what a local disk says where it is full, over a quota or not ours into one sentence.

    Errors about other files, which are read meanwhile, pass as they are.

    Raises:
        StorageError: there is no room, or no right to write.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM | NO_RIGHT or not _is_about(error, path):
            raise
        advice = "Make room" if error.errno in NO_ROOM else "Get the right to write there, or choose another place"
        raise StorageError(
            f"'{path}' cannot be {action}: {os.strerror(error.errno)}. {advice}, then run the same command again; "
            "what is finished is kept."
        ) from error


def _is_about(error: OSError, path: str) -> bool:
    """*Pure.* True if an error names no file, a file in the same folder, or a folder around it."""
    if error.filename is None:
        return True
    folder, named = os.path.dirname(path), str(error.filename)
    return os.path.dirname(named) == folder or f"{folder}/".startswith(f"{named.rstrip('/')}/")


def is_client_error(error: BaseException) -> bool:
    """*Pure.* True if a store's client raised it, also as the OSError that s3fs makes of it."""
    origin = type(error).__module__.split(".", 1)[0]
    if origin in CLIENT_MODULES or isinstance(error, (ConnectionError, TimeoutError)):
        return True
    return isinstance(error, OSError) and error.__cause__ is not None and is_client_error(error.__cause__)


def hub_mistake(error: BaseException) -> str | None:
    """*Pure.* What the user can mend where a hub (`hf://`) refuses, or None."""
    kind = type(error).__name__
    if kind == "GatedRepoError":
        return "it is gated: accept its terms on its page, then set HF_TOKEN, on the executors too."
    if kind in ("RepositoryNotFoundError", "RevisionNotFoundError"):
        return "there is no such data set or revision, or it is private: check the name, or set HF_TOKEN."
    return None


def web_reason(error: BaseException) -> str:
    """*Pure.* What a web server, or the way to it, did; nothing is tried again there."""
    if isinstance(error, TimeoutError):
        return f"no answer in time ({CONNECT_SECONDS} s to connect, {SILENT_SECONDS} s of silence)."
    cause = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return f"{cause}."


def explain(error: BaseException) -> str:
    """*Pure.* The cause in one line, and what to do."""
    if type(error).__name__ in NO_CREDENTIALS:
        return (
            "no credentials were found here. Give the machines a role, or for a test set them in the driver's "
            "environment and for the executors as spark.executorEnv.AWS_ACCESS_KEY_ID and so on."
        )
    if isinstance(error, PermissionError):
        return f"access is denied ({error}). Give the machines' role the rights to it, then run the same command again."
    cause = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return f"{cause} (after {ATTEMPTS} tries or more). What is finished is kept; run the same command again."
