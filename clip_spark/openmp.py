"""*Anywhere.* How long an OpenMP thread of torch's or Faiss's spins, waiting for the others, before it sleeps.

libgomp says 300,000 times, meant as 3 ms; with the longer pause instruction of Intel's CPUs since 2017 it is about 15.
Where a thread of decoding, or another process, has the core that the last one needs, all others burn theirs so long:
on two busy cores a forward pass took three times the CPU seconds, and three times as long by the clock.
Measured in docs/encoding.md.
"""

from __future__ import annotations

import os

SPINS, POLICY = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"
MOST_SPINS = "2000"
"""About 0.1 ms: longer than the steps between two products of one pass, and not much longer than to wake a thread."""


def spin_shortly() -> None:
    """*Anywhere.* Tell libgomp before it is loaded, unless somebody has; processes that this one starts know it too."""
    if SPINS not in os.environ and POLICY not in os.environ:
        os.environ[SPINS] = MOST_SPINS
