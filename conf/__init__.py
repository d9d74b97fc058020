"""Settings that ship with the package: `spark/*.conf` for spark-submit, `pipelines/*.yaml` for `clip-spark run`."""
