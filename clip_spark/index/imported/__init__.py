"""import-index: Faiss indices that other tools have made."""
