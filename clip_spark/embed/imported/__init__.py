"""import-embeddings: vectors that other tools have made, taken over as they are."""
