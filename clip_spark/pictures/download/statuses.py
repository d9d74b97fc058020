"""*Pure.* What can become of a link: a closed list, so that a report adds up."""

from __future__ import annotations

from clip_spark.errors import Rejected

OK = "ok"
NO_LINK = "no link"
DNS = "dns"
REFUSED = "refused"
TIMEOUT = "timeout"
TLS = "tls"
HTTP = "http"
BROKEN = "broken answer"
REDIRECT = "redirect"
TOO_LARGE = "too large"
NOT_A_PICTURE = "not a picture"
TOO_SMALL = "too small"
TOO_LONG = "too long"
HASH_DIFFERS = "hash differs"
ROBOTS = "robots"
OPTED_OUT = "opted out"
BLOCKED_ADDRESS = "blocked address"
BLOCKED_BY_LIST = "blocked by list"
FAILURES = (
    NO_LINK,
    DNS,
    REFUSED,
    TIMEOUT,
    TLS,
    HTTP,
    BROKEN,
    REDIRECT,
    TOO_LARGE,
    NOT_A_PICTURE,
    TOO_SMALL,
    TOO_LONG,
    HASH_DIFFERS,
    ROBOTS,
    OPTED_OUT,
    BLOCKED_ADDRESS,
    BLOCKED_BY_LIST,
)
"""`http` stands for `http 404`, `http 503` and so on."""
MAY_PASS = (DNS, REFUSED, TIMEOUT, BROKEN)
"""Worth another try; so are some codes of http."""
CODES_THAT_PASS = (408, 425, 429, 500, 502, 503, 504)
OF_A_HOST = (DNS, REFUSED, TIMEOUT)
"""Said of a host rather than of one link of it."""


class Failed(Rejected):
    """A link that gave no picture; `reason` is one of FAILURES, of http with its code.

    Attributes:
        wait: seconds that the server asks us to stay away (Retry-After); 0 if it does not say.
    """

    def __init__(self, reason: str, message: str, wait: float = 0) -> None:
        super().__init__(reason, message)
        self.wait = wait

    @property
    def may_pass(self) -> bool:
        """Whether another try may do better."""
        return self.reason in MAY_PASS or self.reason in {f"{HTTP} {code}" for code in CODES_THAT_PASS}


BEGIN, END = " on the block list '", "'; nothing of it is kept"


def blocked(what: str, place: str) -> Failed:
    """*Pure.* The failure of a file or picture that a list names; its message says which list, by its file's name."""
    return Failed(BLOCKED_BY_LIST, f"{what}{BEGIN}{place.rstrip('/').rpartition('/')[2]}{END}")


def list_of(message: str | None) -> str:
    """*Pure.* The list that a message of `blocked` names; older ones name none."""
    return (message or "").partition(BEGIN)[2].removesuffix(END) or "a block list"


def kind_of(status: str) -> str:
    """*Pure.* The entry of FAILURES that a status belongs to: `http` for `http 404`."""
    return HTTP if status.startswith(HTTP + " ") else status
