"""*Pure.* What differs between object stores: client settings with bounded retries, and what their errors mean.

Credentials are not here on purpose: every client finds them in its environment (instance role, AWS_* variables,
application default credentials), so none can end up in a pickled task or a log.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clip_spark.errors import StorageError

ATTEMPTS = 6
"""Tries per request with jittered exponential waits (about 0.5 + 1 + 2 + 4 + 8 s): outlives a throttled prefix."""
BLOCK_BYTES = 16 << 20
"""Bytes per part of a big upload and per read-ahead of a big read; a task holds several at once."""
CLIENT_MODULES = {"botocore", "aiobotocore", "aiohttp", "s3fs", "gcsfs", "google", "azure", "adlfs"}
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
    }


@contextmanager
def clear_errors(uri: str, action: str) -> Iterator[None]:
    """*Anywhere.* Turn what an object store's client raises after its retries into one sentence.

    FileNotFoundError and FileExistsError pass: callers tell them apart. A refused key does not: it is not the fault of
    one file, and must not be counted as a bad record.

    Raises:
        StorageError: the store did not answer, throttled for too long, or refuses us.
    """
    try:
        yield
    except (FileNotFoundError, FileExistsError, StorageError):
        raise
    except Exception as error:
        if not is_client_error(error):
            raise
        raise StorageError(f"'{uri}' cannot be {action}: {explain(error)}") from error


def is_client_error(error: BaseException) -> bool:
    """*Pure.* True if a store's client raised it, also as the OSError that s3fs makes of it."""
    origin = type(error).__module__.split(".", 1)[0]
    if origin in CLIENT_MODULES or isinstance(error, (ConnectionError, TimeoutError)):
        return True
    return isinstance(error, OSError) and error.__cause__ is not None and is_client_error(error.__cause__)


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
