"""One open index answers: texts, pictures, embeddings or records in; hits with their records out. No Spark.

Import `searcher.Searcher` and `Wanted`; `command` and `answers` serve `clip-spark search`.
It stands on `index`, `encoders`, `datasets` and `storage`.
"""
