"""What may be fetched and used: robots.txt, AIPREF, headers, addresses; on the examples of their specifications."""

from __future__ import annotations

import pytest

from clip_spark.errors import InputError
from clip_spark.pictures.download.block_list import read_block_lists
from clip_spark.pictures.download.client import retry_after
from clip_spark.pictures.download.links import check_link
from clip_spark.pictures.download.preferences import forbids, opted_out, training
from clip_spark.pictures.download.robots import parse_robots
from clip_spark.pictures.download.specs import DownloadSpec
from clip_spark.pictures.download.statuses import Failed
from clip_spark.pictures.hosts import host_of
from clip_spark.storage.addresses import is_public

SPEC = DownloadSpec(records="r", output="o")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::127.0.0.1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:a00:1::", False),
        ("2001:0:a00:1::f5ff:fffe", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


# draft-ietf-aipref-vocab: the examples of its sections on format, several preferences, parameters
@pytest.mark.parametrize(
    ("usage", "allowed"),
    [
        ("train-ai=n", False),
        ("train-ai=y, search=n", True),
        ("search=n", None),
        ('train-ai=y, train-ai, search=n, search="n"', None),
        ("train-ai;allow=n, train-ai=y", True),
        ('train-ai;has;parameters="?";', None),
        ("Train-AI=n", None),
        ('train-ai="n"', None),
        ("train-ai=maybe", None),
        ('train-ai=n;why="a, b" , search=y', False),
        ("train-ai=n, ?", None),
        ("", None),
    ],
)
def test_usage_preferences(usage: str, allowed: bool | None) -> None:
    assert training(usage) is allowed


@pytest.mark.parametrize(
    ("tag", "forbidden"),
    [
        ("noai", True),
        ("NoAI, noindex", True),
        ("none", True),
        ("nofollow, noarchive", False),
        ("googlebot: noindex", False),
        ("clip-spark: noindex", True),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST", False),
    ],
)
def test_robots_tags(tag: str, forbidden: bool) -> None:
    assert forbids(tag, "clip-spark") is forbidden


def test_each_preference_can_be_switched_off() -> None:
    headers = {"x-robots-tag": ["noai"], "content-usage": ["train-ai=n"], "tdm-reservation": ["1"]}
    for name, option in (("x-robots-tag", "robots_tag"), ("content-usage", "aipref"), ("tdm-reservation", "tdm")):
        one = {name: headers[name]}
        assert opted_out(one, "clip-spark", SPEC)
        assert not opted_out(one, "clip-spark", DownloadSpec(records="r", output="o", **{option: False}))
    assert not opted_out({"content-usage": ["search=n"], "tdm-reservation": ["0"]}, "clip-spark", SPEC)


SIMPLE = b"""User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
"""
LONGEST = b"User-Agent: clip-spark\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"


def test_the_examples_of_rfc_9309() -> None:
    site = "https://example.com"
    everybody = parse_robots(SIMPLE)
    assert everybody.may_fetch(f"{site}/publications/a") and everybody.may_fetch(f"{site}/")
    assert not everybody.may_fetch(f"{site}/a.gif") and not everybody.may_fetch(f"{site}/example/page.html")
    foobot = parse_robots(SIMPLE.replace(b"foobot", b"clip-spark"))
    assert foobot.may_fetch(f"{site}/example/page.html") and foobot.may_fetch(f"{site}/example/allowed.gif")
    assert not foobot.may_fetch(f"{site}/publications/") and not foobot.may_fetch(f"{site}/example/other")
    bazbot = parse_robots(SIMPLE.replace(b"bazbot", b"clip-spark"))
    assert not bazbot.may_fetch(f"{site}/example/page.html") and bazbot.may_fetch(f"{site}/a.gif")
    longest = parse_robots(LONGEST)
    assert not longest.may_fetch(f"{site}/example/page/disallowed.gif")
    assert longest.may_fetch(f"{site}/example/page/b")


def test_usage_rules_have_the_groups_and_paths_of_robots() -> None:
    text = b"""User-Agent: *
Allow: /
Disallow: /never/
Content-Usage: train-ai=n
Content-Usage: /allowed/ train-ai=y

User-Agent: other
Content-Usage: train-ai=y
"""
    rules = parse_robots(text)
    assert not rules.may_use("https://a.b/x.jpg") and rules.may_use("https://a.b/allowed/x.jpg")
    assert rules.may_fetch("https://a.b/x.jpg") and not rules.may_fetch("https://a.b/never/x.jpg")
    assert parse_robots(text.replace(b"other", b"clip-spark")).may_use("https://a.b/x.jpg")


def test_odd_robots_files_are_read() -> None:
    assert parse_robots(b"").may_fetch("https://a.b/c")
    assert parse_robots(b"<html>\x00\xff").may_fetch("https://a.b/c")
    assert not parse_robots(b"\xef\xbb\xbfUser-agent: *\r\nDisallow: /").may_fetch("https://a.b/c")
    assert parse_robots(b"User-agent: *\nCrawl-delay: 2.5\n").delay == 2.5


def test_links() -> None:
    assert check_link(" HTTP://me:secret@a.b:80/c?d=e#f ") == "http://a.b:80/c?d=e"
    assert host_of("https://Me:x@A.b:1/c") == "a.b:1"
    for bad in ("", "file:///etc/passwd", "//a/b", "http://", "http://a:b:c/"):
        with pytest.raises(Failed, match="no link"):
            check_link(bad)


def test_retry_after() -> None:
    assert (retry_after("120"), retry_after("soon"), retry_after("")) == (120, 0, 0)
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after("Wed, 21 Oct 2115 07:28:00 GMT") > 1e9


def test_a_block_list_with_a_line_that_is_no_digest(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "list").write_text("d41d8cd98f00b204e9800998ecf8427e\nnot hex\n")
    with pytest.raises(InputError, match="line 2: 'not hex' is no md5"):
        read_block_lists((str(tmp_path / "list"),))
