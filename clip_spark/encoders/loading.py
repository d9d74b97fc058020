"""*Worker.* A model name to an open_clip model in memory, with its tokeniser and picture transform."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from clip_spark.encoders import weights
from clip_spark.encoders.libraries import load_open_clip
from clip_spark.encoders.names import ModelName, libraries_of, parse_model
from clip_spark.errors import ModelError


@dataclass(frozen=True)
class LoadedModel:
    """What open_clip gives for a name.

    Attributes:
        model: the torch module, on the CPU, in eval mode, without gradients.
        tokeniser: texts -> int64 (n, context).
        transform: torchvision's Compose for one PIL picture.
        preprocess: the settings of the transform.
        weights_sha256: of the weight file.
        path: of the weight file.
    """

    model: Any
    tokeniser: Any
    transform: Any
    preprocess: dict[str, Any]
    weights_sha256: str
    path: str


def load_model(model: str) -> LoadedModel:
    """*Worker.* Load a model by its name.

    Raises:
        ModelError: weights cannot be fetched, are damaged, or belong to another architecture.
    """
    name = parse_model(model)
    path = _weights_path(model, name)
    logging.getLogger("root").disabled, was_disabled = True, logging.getLogger("root").disabled
    try:
        return _create(name, path)
    except Exception as error:
        raise ModelError(f"The weights of '{model}' ({path}) cannot be loaded: {first_line(error)}") from error
    finally:
        logging.getLogger("root").disabled = was_disabled


def _weights_path(model: str, name: ModelName) -> str:
    if name.weights:
        return weights.local_weights(name.weights)
    return _folder_weights(name.folder) if name.folder else _hub_weights(model, name)


def _folder_weights(folder: str) -> str:
    path = load_open_clip().factory._find_checkpoint_in_dir(Path(folder))
    if path is None:
        raise ModelError(f"'{folder}' holds no weights (open_clip_model.safetensors).")
    return path


def _hub_weights(model: str, name: ModelName) -> str:
    pretrained = load_open_clip().pretrained
    config = pretrained.get_pretrained_cfg(name.architecture, name.tag)
    if not config:
        raise ModelError(f"There are no pretrained weights '{name.tag}' for '{name.architecture}'.")
    try:
        with _without_retries():
            return str(pretrained.download_pretrained(config))
    except Exception as error:
        raise ModelError(
            f"The weights of '{model}' are not in the local cache and the model hub cannot be reached "
            f"({first_line(error)}). Fetch them once with network, or give a file: "
            f"{name.architecture}:/path/to/weights."
        ) from error


@contextmanager
def _without_retries() -> Iterator[None]:
    """The hub's client looks into its cache alone where the hub's name is not known: it would try for 90 seconds."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _is_known(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _is_known(url: str) -> bool:
    """Whether the host of a URL has an address; a proxy would look for it elsewhere."""
    if getproxies():
        return True
    try:
        return bool(socket.getaddrinfo(urlsplit(url).hostname, 443))
    except OSError:
        return False


def _create(name: ModelName, path: str) -> LoadedModel:
    open_clip = load_open_clip(*libraries_of(name))
    if name.folder:
        model = open_clip.create_model(f"local-dir:{name.folder}")
        tokeniser = open_clip.get_tokenizer(f"local-dir:{name.folder}")
    else:
        model = open_clip.create_model(name.architecture, pretrained=path, **_tag_options(name))
        tokeniser = open_clip.get_tokenizer(name.architecture)
    settings = dict(model.visual.preprocess_cfg)
    transform = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(**settings), is_train=False)
    model = model.eval().requires_grad_(False)
    return LoadedModel(model, tokeniser, transform, _plain(settings), weights.sha256(path), path)


def _tag_options(name: ModelName) -> dict[str, Any]:
    """*Worker.* What pretrained weights ask of their architecture.

    open_clip only warns when weights were trained with the quick form of GELU and the architecture has the exact one;
    the embeddings are then quietly wrong.
    """
    find = load_open_clip().pretrained.get_pretrained_cfg
    config = find(name.architecture, name.tag) if name.tag else {}
    keys = ("mean", "std", "interpolation", "resize_mode")
    preprocess = {key: config[key] for key in keys if config.get(key) is not None}
    options: dict[str, Any] = {"force_preprocess_cfg": preprocess} if preprocess else {}
    return {**options, "force_quick_gelu": True} if config.get("quick_gelu") else options


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}


def first_line(error: BaseException) -> str:
    """*Pure.* What an error of another library says, short enough for a sentence of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] or type(error).__name__
