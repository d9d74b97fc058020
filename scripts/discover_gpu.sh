#!/bin/sh
# Tells Spark which GPUs this machine has; for spark.{worker,executor}.resource.gpu.discoveryScript.
# EMR and Dataproc bring their own: /usr/lib/spark/scripts/gpu/getGpusResources.sh.
addresses=$(nvidia-smi --query-gpu=index --format=csv,noheader | sed 's/.*/"&"/' | paste -sd, -)
echo "{\"name\": \"gpu\", \"addresses\": [$addresses]}"
