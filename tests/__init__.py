"""Tests; a package, so that `tests.services` is ours and not what some library left in site-packages.

On every CPU `auto` is fp32 here, in the fault suite too: vectors are the same in any batch to 1e-5, as no products of
short numbers make them.
"""

import os

os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
