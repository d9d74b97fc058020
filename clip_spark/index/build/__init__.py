"""build-index: from embeddings to the parts of an index; `build.build_index` is the step."""
