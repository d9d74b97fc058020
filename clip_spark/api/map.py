"""*Driver.* A map as an object, which a notebook shows: `cs.open_map(uri)`. No Spark."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from clip_spark.analysis.map.frame import Frame, open_frame
from clip_spark.analysis.map.landing import landing, titles_of_anchors
from clip_spark.analysis.map.script import script, static_file
from clip_spark.analysis.map.shards import frame_of
from clip_spark.analysis.map.stored import stored_map
from clip_spark.datasets.manifest import Manifest
from clip_spark.errors import ClipSparkError, UserError

HEIGHT = 620
"""Pixels of a map in a notebook."""
NEEDS = "A map in a notebook needs anywidget: pip install 'clip-spark[notebook]' brings it."


class Map:
    """A map that is open; `open_map` makes it."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    @property
    def uri(self) -> str:
        """The folder."""
        return self.manifest.uri

    @property
    def rows(self) -> dict[str, int]:
        """Points by kind, `image` and `text`."""
        return dict(self.manifest.extra["rows"])

    @cached_property
    def encoder(self) -> Any:
        """The encoder of its pictures; loaded at first use."""
        from clip_spark.encoders import load_encoder_like

        return load_encoder_like(self.manifest.extra["encoder"])

    @cached_property
    def _titles(self) -> dict[str, str]:
        return titles_of_anchors(self.manifest, self._frame)

    @cached_property
    def _frame(self) -> Frame:
        return open_frame(frame_of(self.manifest))

    def place(self, texts: Sequence[str]) -> np.ndarray:
        """Where texts lie on the map, float32 (n, 2): where it would put those of a dataset."""
        return self._frame.locate(self.encoder.encode_texts(list(texts)))[0]

    @property
    def selected(self) -> list[str]:
        """Ids of the records that were selected last in the notebook."""
        return list(self.widget.selected)

    @cached_property
    def widget(self) -> Any:
        """The map as a widget, with at most 200,000 points in it; raises UserError without anywidget."""
        try:
            import anywidget
            import traitlets
        except ImportError as error:
            raise UserError(NEEDS) from error

        class MapWidget(anywidget.AnyWidget):
            _esm = f"{script('map_widget')}\nexport default {{ render: map_widget.render }};"
            _css = static_file("map.css")
            data = traitlets.Bytes().tag(sync=True)
            height = traitlets.Int(HEIGHT).tag(sync=True)
            selected = traitlets.List(traitlets.Unicode()).tag(sync=True)

        widget = MapWidget(data=stored_map(self.manifest))
        widget.on_msg(lambda _widget, message, _buffers: widget.send(self._landing(message)))
        return widget

    def _landing(self, message: dict[str, Any]) -> dict[str, Any]:
        """The answer to the widget, which asks where a text lies: with the fitted pictures that are nearest to it."""
        answer = {"id": message.get("id")}
        try:
            vector = self.encoder.encode_texts([str(message.get("text"))])[0]
        except ClipSparkError as error:
            return {**answer, "error": str(error)}
        return {**answer, **landing(self._frame, self._titles, vector)}

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """*Driver.* What a notebook shows."""
        return self.widget._repr_mimebundle_(**options)

    def __fspath__(self) -> str:
        return self.uri

    def __repr__(self) -> str:
        counts = " and ".join(f"{count:,} {kind}s" for kind, count in self.rows.items() if count)
        return f"<Map of {counts} in '{self.uri}'>"
