"""One short file per command; installed as `clip_spark.jobs`, and each runs by itself under spark-submit."""
