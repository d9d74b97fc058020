#!/bin/sh
# What a bare machine with Python 3.12, torch, torchvision and pyarrow lacks to run scripts/bench_gpu.py, as wheels:
#   sh scripts/carry_gpu.sh .whl
# and there: python3 -m pip install --no-index --no-deps --target site .whl/*.whl; PYTHONPATH=site python3 scripts/bench_gpu.py
set -eu
folder=${1:-.whl}
python=${PYTHON:-python3}
"$python" -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
    -c "$(dirname "$0")/../constraints.txt" -d "$folder" open_clip_torch ftfy wcwidth
du -sh "$folder"
