"""*Worker.* One index: its files, how they are opened and searched, and the way from a position to its record.

Positions (row numbers in the concatenated embeddings, which are the Faiss ids) do not leave this package and its
two callers, `search` and `build`.

    library   the one import of faiss
    layout    what the manifest of an index says
    keys      index key and number of parts from size and memory
    reader    vectors of an embeddings dataset, streamed and checked
    train     quantizers from a random sample
    writer    one part: checked, written, hashed
    parts     open and search all parts as one
    tune      recall against exact search; search parameters that reach a goal
    records   position -> record
"""
