"""*Anywhere.* What a `--model` names, checked in milliseconds: no weights, and torch only for hub tags.

demo                         the bundled model
ARCH:PRETRAINED              ViT-B-32:laion2b_s34b_b79k, fetched by open_clip from its hub
ARCH:/path/or/uri            a state dict (.pt, .safetensors, ...) for one of open_clip's architectures
local-dir:/path              a folder with open_clip_config.json and weights, as `demo` is one
ViT-B/32, RN50, ...          OpenAI's names for OpenAI's weights
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clip_spark import storage
from clip_spark.encoders.demo_model import model_folder
from clip_spark.encoders.libraries import TIMM, TRANSFORMERS, load_open_clip
from clip_spark.errors import ModelError, nearest

DEMO = "demo"
LOCAL_DIR = "local-dir"
CONFIG = "open_clip_config.json"
NOT_INT8 = "--precision int8 is for vision transformers (ViT), and '{}' sees by other means; use --precision auto."
OPENAI = {
    name: name.replace("/", "-").replace("@336px", "-336")
    for name in ("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px")
}
WEIGHT_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors", ".npz")


@dataclass(frozen=True)
class ModelName:
    """A parsed `--model`; exactly one of `folder`, `weights` and `tag` is set.

    Attributes:
        architecture: a name of open_clip's model configs; empty for a folder, which has its own config.
        folder: local folder with open_clip_config.json and weights.
        weights: path or URI of a state dict.
        tag: name of pretrained weights that open_clip fetches.
    """

    architecture: str = ""
    folder: str = ""
    weights: str = ""
    tag: str = ""


def parse_model(model: str) -> ModelName:
    """*Pure.* Take a model name apart; raises ModelError when it has none of the known forms."""
    if model == DEMO:
        return ModelName(folder=model_folder())
    if model in OPENAI:
        return ModelName(architecture=OPENAI[model], tag="openai")
    architecture, colon, source = model.partition(":")
    if colon and source:
        if architecture == LOCAL_DIR:
            return ModelName(folder=storage.absolute(source))
        architecture = architecture.replace("/", "-")
        if "/" in source or source.endswith(WEIGHT_SUFFIXES):
            return ModelName(architecture=architecture, weights=storage.absolute(source))
        return ModelName(architecture=architecture, tag=source)
    raise ModelError(_unknown(model))


def _unknown(model: str) -> str:
    known = known_architectures()
    if model.rstrip(":") in known:
        return (
            f"The model '{model}' names no weights; write {model.rstrip(':')}:PRETRAINED or {model}:/path/to/weights."
        )
    suggestion = nearest(model, [DEMO, *OPENAI, *known])
    return (
        f"There is no model '{model}'. Use demo, ARCH:PRETRAINED (ViT-B-32:laion2b_s34b_b79k), "
        f"ARCH:/path/to/weights, or an OpenAI name such as ViT-B/32.{suggestion}"
    )


def known_architectures() -> list[str]:
    """*Driver.* The names of open_clip's architectures."""
    return sorted(path.stem for path in _configs_folder().glob("*.json"))


def _configs_folder() -> Path:
    """*Driver.* Where open_clip keeps its architectures, found so that torch is not imported."""
    found = importlib.util.find_spec("open_clip")
    if found is None or found.origin is None:
        raise ModelError("open_clip is not installed; install it with `pip install 'clip-spark[encode]'`.")
    return Path(found.origin).parent / "model_configs"


def check_model(model: str, precision: str = "auto") -> ModelName:
    """*Driver.* Parse a model name and make sure that its parts exist, without loading weights.

    Raises:
        ModelError: unknown architecture or tag (the nearest one is named), weights that are not there, or a model
            that has no such precision.
    """
    name = _check_parts(model)
    if precision == "int8" and not has_vision_transformer(name):
        raise ModelError(NOT_INT8.format(model))
    if needs_transformers(name) and importlib.util.find_spec(TRANSFORMERS) is None:
        raise ModelError(f"The texts of '{model}' need transformers; install it with `pip install 'clip-spark[hf]'`.")
    return name


def has_vision_transformer(name: ModelName) -> bool:
    """*Driver.* True if pictures go through open_clip's own vision transformer, as the model's configuration says."""
    vision = _vision(name)
    return "timm_model_name" not in vision and isinstance(vision.get("layers", 12), int)  # a ResNet has four numbers


def libraries_of(name: ModelName) -> list[str]:
    """*Driver.* Whose towers a model has beside open_clip's own, as its configuration says."""
    config = _config(name)
    asked = {
        TIMM: config["vision_cfg"].get("timm_model_name"),
        TRANSFORMERS: config["text_cfg"].get("hf_model_name"),
    }
    return [library for library, tower in asked.items() if tower]


def needs_transformers(name: ModelName) -> bool:
    """*Driver.* True if texts are split, or computed, by transformers: SigLIP, CLIPA, multilingual models."""
    text = _config(name)["text_cfg"]
    return bool(text.get("hf_model_name") or text.get("hf_tokenizer_name"))


def _vision(name: ModelName) -> dict[str, Any]:
    return dict(_config(name)["vision_cfg"])


def _config(name: ModelName) -> dict[str, Any]:
    place = Path(name.folder) / CONFIG if name.folder else _configs_folder() / f"{name.architecture}.json"
    config = json.loads(place.read_text())
    return dict(config.get("model_cfg", config))  # a folder's configuration says more than the model


def _check_parts(model: str) -> ModelName:
    name = parse_model(model)
    known = known_architectures()
    if name.folder:
        _check_folder(model, name.folder)
        return name
    if name.architecture not in known:
        raise ModelError(
            f"There is no architecture '{name.architecture}' in '{model}'.{nearest(name.architecture, known)}"
        )
    if name.weights and not storage.exists(name.weights):
        raise ModelError(f"The weights '{name.weights}' of '{model}' do not exist.")
    if name.tag:
        _check_tag(name)
    return name


def _check_folder(model: str, folder: str) -> None:
    if not (Path(folder) / CONFIG).is_file():
        raise ModelError(f"'{folder}' of the model '{model}' holds no {CONFIG}.")


def _check_tag(name: ModelName) -> None:
    tags = load_open_clip().pretrained.list_pretrained_tags_by_model(name.architecture)
    if name.tag not in tags:
        listed = ", ".join(tags[:8]) or "none"
        raise ModelError(
            f"'{name.architecture}' has no pretrained weights '{name.tag}'; known: {listed}.{nearest(name.tag, tags)}"
        )
