"""A web on loopback of which more than half goes wrong, fetched without Spark; `make faulty-web`.

python -m tests.faults.links --links 100000
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

from tests.services.faulty_links import HOSTS, WANTED, fetch, links, only_loopback_is_public
from tests.services.picture_web import picture_web


def main() -> int:
    """Prints what became of each fault; 0 if each link became what it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--links", type=int, default=100_000)
    given = parser.parse_args()
    started, cpu = time.monotonic(), time.process_time()
    with picture_web(HOSTS) as web, only_loopback_is_public():
        became, slowest = fetch(list(links(web, given.links)), timeout=10.0)
    odd = {pair: number for pair, number in became.items() if WANTED[pair[0]][0] != pair[1]}
    for (fault, status), number in sorted(became.items()):
        sys.stdout.write(f"{number:8,}  {fault:10} {status}\n")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    seconds, used = time.monotonic() - started, time.process_time() - cpu
    sys.stdout.write(
        f"{became.total():,} links in {seconds:.0f} s, {used:.0f} s of CPU with the web's, {peak} MB at most\n"
    )
    sys.stdout.write(f"the slowest 5,000 took {slowest:.0f} s; otherwise than it must: {odd or 'none'}\n")
    return 1 if odd or became.total() != given.links else 0


if __name__ == "__main__":
    sys.exit(main())
