"""import-index and adopt-index: Faiss indices that other tools have made."""
