"""An index that is open for searching: parts, records, vectors, conditions, removals."""
