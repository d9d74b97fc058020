"""*Driver.* What is already there: datasets, indices and encoders by name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from clip_spark.api.dataset import Dataset
from clip_spark.api.index import Index
from clip_spark.datasets.manifest import read_manifest

if TYPE_CHECKING:
    from clip_spark.api.map import Map
    from clip_spark.api.pair import Pair
    from clip_spark.encoders.protocol import Encoder


def open_dataset(uri: str | os.PathLike[str]) -> Dataset:
    """*Driver.* A finished dataset; nothing but its manifest is read.

    Args:
        uri: its folder.

    Raises:
        InputError: there is no dataset, or an unfinished one.
        DatasetError: its manifest is damaged or of a newer version.
    """
    return Dataset(read_manifest(os.fspath(uri)))


def open_index(uri: str | os.PathLike[str], *, verify: bool = False, fetch: bool = False) -> Index:
    """*Driver.* An index, opened for searching; its encoder is loaded at the first text or picture.

    Args:
        uri: its folder, or the dataset that `build_index` has returned.
        verify: read all of it first and compare the hashes.
        fetch: of an index in an object store fetch all files first, to keep on this machine: for many searches. Else
            each search reads what it needs.

    Raises:
        InputError: there is no index.
        DatasetError: a file is missing or damaged.
    """
    from clip_spark.search.searcher import Searcher

    return Index(Searcher.open(os.fspath(uri), verify=verify, fetch=fetch))


def open_map(uri: str | os.PathLike[str]) -> Map:
    """*Driver.* A map, which a notebook shows; it places texts and says what was selected.

    Args:
        uri: its folder, or the dataset that `make_map` has returned.

    Raises:
        InputError: there is no map.
    """
    from clip_spark.api.map import Map

    return Map(read_manifest(os.fspath(uri), "map"))


def open_pair(
    uri: str | os.PathLike[str], other: str | os.PathLike[str], *, verify: bool = False, fetch: bool = False
) -> Pair:
    """*Driver.* Two indices of the same records, such as pictures and the prompts that they came from, for searching.

    Args:
        uri: the folder of one.
        other: that of the other.
        verify: read all of both first and compare the hashes.
        fetch: as of `open_index`.

    Raises:
        InputError: there is no index.
        DatasetError: a file is missing or damaged.
    """
    from clip_spark.api.pair import Pair
    from clip_spark.search.pair import Pair as OpenPair

    return Pair(OpenPair.open(os.fspath(uri), os.fspath(other), verify=verify, fetch=fetch))


def load_encoder(model: str = "demo", *, precision: str = "auto", device: str | None = None) -> Encoder:
    """*Driver.* An encoder: `encode_texts(["dog", "cat"])` gives float32 (2, d), rows of length 1. No Spark.

    Args:
        model: demo, ARCH:PRETRAINED, ARCH:/path/to/weights, or an OpenAI name like ViT-B/32.
        precision: auto, fp32, bf16, fp16, or int8 (of pictures).
        device: `cpu`, `cuda:0`, ...; None takes what the machine has.

    Raises:
        ModelError: the model is unknown, or its weights cannot be fetched.
    """
    from clip_spark.encoders import EncoderSpec
    from clip_spark.encoders import load_encoder as load

    return load(EncoderSpec(model, precision), device)
