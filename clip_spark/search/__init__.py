"""One open index answers: texts, pictures, embeddings or records in; hits with their records out. No Spark.

Import `searcher.Searcher`, `hits.Wanted` and `hits.Hits`; `command` and `answers` serve `clip-spark search`.
It stands on `index`, `encoders`, `pictures`, `datasets` and `storage`.
"""
