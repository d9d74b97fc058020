"""*Worker.* robots.txt (RFC 9309): what a host lets us fetch and use, and how slowly; parsed by Protego."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clip_spark.pictures.download.preferences import training

if TYPE_CHECKING:
    from protego import Protego

AGENT = "clip-spark"
"""Our product token."""
MOST_BYTES = 500 << 10
"""RFC 9309 section 2.5: a parser reads at least 500 KiB."""
RULE = re.compile(r"[ \t]*content-usage[ \t]*:[ \t]*(?:(?P<path>/\S*)[ \t]+)?(?P<usage>[^#\r\n]*)", re.IGNORECASE)
ACCESS = re.compile(r"[ \t]*(?:dis)?allow[ \t]*:", re.IGNORECASE)


@dataclass(frozen=True)
class Robots:
    """What one host says.

    Attributes:
        delay: seconds between two requests.
        forbidden: nothing may be fetched, and why (the file could not be read: RFC 9309 section 2.3.1.4).
    """

    access: Protego | None = None
    usage: Protego | None = None
    delay: float = 0.0
    forbidden: str = ""

    def may_fetch(self, url: str) -> bool:
        """Whether the link may be asked for."""
        return not self.forbidden and (self.access is None or bool(self.access.can_fetch(url, AGENT)))

    def may_use(self, url: str) -> bool:
        """Whether what it gives may be used: a Content-Usage rule's train-ai is not `n`."""
        return self.usage is None or bool(self.usage.can_fetch(url, AGENT))


OPEN = Robots()
"""There is no robots.txt."""


def parse_robots(data: bytes) -> Robots:
    """*Pure.* The rules of a file for our agent."""
    from protego import Protego

    text = data[:MOST_BYTES].decode("utf-8", "replace").removeprefix("\ufeff")
    access = Protego.parse(text)
    usage = Protego.parse(usage_as_access(text)) if "content-usage" in text.lower() else None
    return Robots(access, usage, float(access.crawl_delay(AGENT) or 0))


def usage_as_access(text: str) -> str:
    """*Pure.* A robots.txt whose Disallow rules are the Content-Usage rules that forbid training.

    draft-ietf-aipref-attach gives both kinds of rules the same groups, and the same longest match of paths.
    """
    lines = []
    for line in text.splitlines():
        rule = RULE.match(line)
        if rule:
            allowed = training(rule["usage"])
            verb = "Disallow" if allowed is False else "Allow"
            lines.append(f"{verb}: {rule['path'] or '/'}")
        elif not ACCESS.match(line):
            lines.append(line)
    return "\n".join(lines)
