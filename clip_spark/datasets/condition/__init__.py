"""*Worker.* The conditions of `where`: a small language of our own, parsed, bound to columns, and then run by DuckDB.

    words ─▶ grammar ─▶ binding ─▶ evaluate (DuckDB, live records only)

A condition may come over the network. What the grammar has no rule for does not exist, so nothing can be forgotten in
a list of what is forbidden; and the SQL that runs is written from the tree, so no text of a visitor reaches a database
except inside a quoted literal. A parser of ours is sturdier here than a borrowed one: DuckDB's own (its serialised tree
changes from release to release) and sqlglot accept all of SQL, which would then have to be taken away again.
"""
