"""*Pure.* Vectors that are compared must come from one encoder: one model, one way of preparing pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from clip_spark.datasets.embeddings import differing_encoder
from clip_spark.errors import InputError, ModelError
from clip_spark.pictures.look import Look

THE_INDEX = "the index"


def same_encoder(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """*Pure.* True if two descriptions of an encoder are of the same weights and the same preparation of pictures."""
    return not differing_encoder(one, other)


def check_same_encoder(index: Mapping[str, Any], other: Mapping[str, Any], what: str, whose: str = THE_INDEX) -> None:
    """*Pure.* Refuse vectors of another encoder: their scores would mean nothing.

    Args:
        index: encoder of the index.
        other: encoder of `what`.
        what: for the message, such as "these image embeddings".
        whose: what the first encoder made, for the message.

    Raises:
        ModelError: weights or preprocessing differ.
    """
    differing = differing_encoder(index, other)
    if not differing:
        return
    if index.get("model") != other.get("model"):
        why = f"{whose} was built with '{index.get('model')}' and {what} come from '{other.get('model')}'"
    else:
        word = "other weights" if differing[0] == "weights_sha256" else "another preprocessing"
        why = f"{whose} was built with '{index.get('model')}' and {what} come from {word} of that name"
    raise ModelError(f"{why[0].upper()}{why[1:]}; use the same model on both sides.")


def check_same_look(index: Mapping[str, Any], other: Mapping[str, Any], what: str, whose: str = THE_INDEX) -> None:
    """*Pure.* Refuse pictures that were turned, or laid on a background, otherwise than those of the index.

    Args:
        index: encoder of the index.
        other: encoder of `what`.
        what: for the message.
        whose: what the first encoder made, for the message.

    Raises:
        InputError: they were; older embeddings do not say it, and were made as open_clip does.
    """
    mine, theirs = dataclasses.asdict(Look.of(index)), dataclasses.asdict(Look.of(other))
    for option in (name for name in mine if mine[name] != theirs[name]):
        raise InputError(
            f"{whose[0].upper()}{whose[1:]} holds pictures with --{option} {mine[option]} and {what} have "
            f"--{option} {theirs[option]}; embed them in the same way."
        )
