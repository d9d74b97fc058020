"""*Pure.* What those who publish a picture say about its use: X-Robots-Tag, IETF AIPREF, TDM reservation.

AIPREF: draft-ietf-aipref-vocab (the dictionary) and draft-ietf-aipref-attach (where it stands).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from clip_spark.pictures.download.specs import DownloadSpec

NO_ROBOTS = ("noai", "noimageai", "noindex", "noimageindex", "none")
"""As img2dataset's list; `none` is `noindex, nofollow`."""
CATEGORY = "train-ai"
MEMBER = re.compile(
    r"""[ ]* (?P<key>[a-z*][a-z0-9_.*-]*)
        (?: = (?P<value> "(?:[^"\\]|\\["\\])*" | [^;,"\s]+ ) )?
        (?: [ ]*;[ ]* [a-z*][a-z0-9_.*-]* (?: = (?: "(?:[^"\\]|\\["\\])*" | [^;,"\s]+ ) )? )*
        ;? [ \t]* (?: , [ \t]* | \Z )""",
    re.VERBOSE,
)
"""A member of a dictionary of RFC 9651, with its parameters; inner lists, which no category uses, do not match."""


def opted_out(headers: Mapping[str, Sequence[str]], agent: str, spec: DownloadSpec) -> str:
    """*Pure.* The header with which an answer forbids this use, or an empty string.

    Args:
        headers: lower-case name -> its values.
        agent: our product token.
        spec: which headers are obeyed.
    """
    for value in headers.get("x-robots-tag", ()) if spec.robots_tag else ():
        if forbids(value, agent):
            return f"X-Robots-Tag: {value}"
    if spec.aipref and training(", ".join(headers.get("content-usage", ()))) is False:
        return f"Content-Usage: {', '.join(headers['content-usage'])}"
    if spec.tdm and any(value.strip() == "1" for value in headers.get("tdm-reservation", ())):
        return "tdm-reservation: 1"
    return ""


def forbids(robots_tag: str, agent: str) -> bool:
    """*Pure.* Whether an X-Robots-Tag forbids: `noai, noindex`, or `agent: noai` where the agent is ours."""
    name, colon, rest = robots_tag.partition(":")
    directives = robots_tag
    if colon and "," not in name and name.strip().lower() not in ("unavailable_after", "max-snippet"):
        if name.strip().lower() not in (agent.lower(), "*"):
            return False
        directives = rest
    return any(word.strip().lower() in NO_ROBOTS for word in directives.split(","))


def training(usage: str) -> bool | None:
    """*Pure.* Whether a usage preference allows to train: True, False, or None where it says nothing of it.

    A key that comes twice counts as the last says; a dictionary that cannot be parsed says nothing.
    """
    members: dict[str, str | None] = {}
    at, text = 0, usage.strip(" ")
    while at < len(text):
        found = MEMBER.match(text, at)
        if found is None:
            return None
        members[found["key"]] = found["value"]
        at = found.end()
    return {"y": True, "n": False}.get(members.get(CATEGORY) or "")
