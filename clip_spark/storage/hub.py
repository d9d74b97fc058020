"""*Anywhere.* Data sets on a hub (`hf://datasets/owner/name`): a folder goes there in one commit, or not at all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec.config

from clip_spark.errors import InputError
from clip_spark.storage.local_cache import cache_folder
from clip_spark.storage.stores import clear_errors

PLACE = re.compile(r"hf://datasets/([^/@]+/[^/@]+)(?:@([^/]+))?(?:/(.*))?\Z")


def is_hub(uri: str) -> bool:
    """*Pure.* True for hf://."""
    return uri.startswith("hf://")


@contextmanager
def staging(name: str) -> Iterator[str]:
    """*Anywhere.* A folder of this machine that is kept until its block has ended well: a killed run goes on."""
    folder = cache_folder() / f"publish-{name}"
    folder.mkdir(exist_ok=True)
    yield str(folder)
    shutil.rmtree(folder)


def upload(folder: str, uri: str, message: str) -> None:
    """*Driver.* All files of a folder to a data set, which is made if it is not there; those that it replaces go.

    Raises:
        InputError: the address is none of a data set, or the hub does not let us write.
        StorageError: the hub does not answer.
    """
    place = PLACE.fullmatch(uri.rstrip("/"))
    if place is None:
        raise InputError(f"'{uri}' is no data set on a hub; write hf://datasets/OWNER/NAME.")
    from huggingface_hub import HfApi

    name, revision, path = place.groups()
    api = HfApi(endpoint=_settings().get("endpoint"), token=_settings().get("token"))
    with clear_errors(uri, "written"):
        api.create_repo(name, repo_type="dataset", exist_ok=True)
        api.upload_folder(
            repo_id=name,
            repo_type="dataset",
            folder_path=folder,
            path_in_repo=path or None,
            revision=revision,
            commit_message=message,
            delete_patterns="*",
        )


def _settings() -> dict[str, Any]:
    return dict(fsspec.config.conf.get("hf", {}))
