"""*Driver.* The embeddings of an index once more, by another model: each by the step and the options that made it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clip_spark import storage
from clip_spark.analysis.migrate.spec import MigrateSpec
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.spec import Spec
from clip_spark.embed.pictures import embed_images
from clip_spark.embed.specs import EmbedImagesSpec, EmbedTextSpec
from clip_spark.embed.texts import embed_text
from clip_spark.errors import InputError
from clip_spark.index.change.new_rows import was_adopted
from clip_spark.index.files.layout import IndexInfo
from clip_spark.runtime.session import SessionSource

QUERIES = "queries"
EmbedSpec = EmbedTextSpec | EmbedImagesSpec


@dataclass(frozen=True)
class Sets:
    """What the second index is made of.

    Attributes:
        embeddings: URIs.
        queries: URI of embeddings of the other kind; empty for none.
        rejects: reason -> records that the other model's run has lost.
    """

    embeddings: tuple[str, ...]
    queries: str = ""
    rejects: Mapping[str, int] = dataclasses.field(default_factory=dict)


def embed_again(get_spark: SessionSource, spec: MigrateSpec, index: Manifest, info: IndexInfo) -> Sets:
    """*Driver.* Embed what an index is made of, and what calibrated it; or take what the user has embedded.

    Raises:
        InputError: nothing says how a set was made, or it is no longer there.
    """
    if spec.embeddings:
        return Sets(spec.embeddings, spec.calibrate_with)
    if was_adopted(index):
        raise InputError(
            f"'{index.uri}' was taken over by adopt-index, so no embeddings say what was encoded. Embed its records "
            "with embed-text or embed-images, and name the result by --embeddings."
        )
    planned = {name: _spec_of(name, uri, spec) for name, uri in sources_of(index, info).items()}
    made = {name: _step(one)(get_spark, one) for name, one in planned.items()}
    queries = made.pop(QUERIES, None)
    rejects: dict[str, int] = {}
    for one in made.values():
        for reason, count in one.rejects.items():
            rejects[reason] = rejects.get(reason, 0) + count
    return Sets(tuple(one.uri for one in made.values()), queries.uri if queries else "", rejects)


def sources_of(index: Manifest, info: IndexInfo) -> dict[str, str]:
    """*Pure.* Name -> URI of each set of an index, and of the queries that taught it, under their own name."""
    found = {name: one["uri"] for name, one in index.inputs.items() if name.startswith("embeddings")}
    asked = index.inputs.get(QUERIES) or (info.calibration.queries if info.calibration else None)
    return {**found, **({QUERIES: asked["uri"]} if asked else {})}


def _step(spec: EmbedSpec) -> Callable[[SessionSource, Any], Manifest]:
    return embed_text if isinstance(spec, EmbedTextSpec) else embed_images


def _spec_of(name: str, uri: str, spec: MigrateSpec) -> EmbedSpec:
    """*Driver.* The run that made a set, with the other model and another output."""
    try:
        made = read_manifest(uri, "embeddings")
    except InputError as error:
        raise InputError(
            f"{error} The index was made of it; name what to take in its place by --embeddings."
        ) from error
    by, changed = made.spec.get("spec", ""), dict[str, Any](model=spec.model, output=storage.join(spec.output, name))
    if by == EmbedImagesSpec.__name__:
        given = made.inputs["images"]
        changed["images"] = tuple(given.get("uris") or [given["uri"]])
        return EmbedImagesSpec(**{**options_of(made, EmbedImagesSpec), **changed})
    if by == EmbedTextSpec.__name__:
        changed["records"] = tuple(one["uri"] for one in made.inputs.values())
        return EmbedTextSpec(**{**options_of(made, EmbedTextSpec), **changed})
    if made.extra["modality"] == "text":  # vectors of another tool: their texts are in the records
        return EmbedTextSpec(**changed, records=(made.uri,))
    raise InputError(
        f"Nothing says where the pictures of '{made.uri}' are ({by or 'made by another tool'}); embed them with "
        "embed-images, and name the result by --embeddings."
    )


def options_of(made: Manifest, spec: type[Spec]) -> dict[str, Any]:
    """*Pure.* What a dataset was made with, as far as this version knows it."""
    known = {field.name for field in dataclasses.fields(spec)}
    values = {key: value for key, value in made.spec.items() if key in known}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
