"""*Server.* Search over HTTP: a page for people, a JSON API for programs, clip-retrieval's wire format for its clients.

    page (static/) ─┐
    search_routes ──┼─▶ catalog ─▶ served: one open index ─▶ clip_spark.search, clip_spark.index
    wire_routes ────┘                 └────▶ pictures: bytes of a record's picture, thumbnails

`app.create_app` puts them together, `server.run` listens. Nothing here knows a model or Faiss.
"""
