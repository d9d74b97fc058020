"""Make the demo's pictures and text corpus from emoji that are published on npm.

    python scripts/make_demo_data.py --sources build/demo --output clip_spark/demo

The bundled pictures are Noto Emoji (Apache-2.0) at 64 x 64, laid on white; names, keywords and
groups are emojibase's (MIT). The same functions read the further styles that
`train_demo_model.py` trains and tests on. Every byte written follows from the packages alone, so
a second run changes nothing.

Needs, beyond the package: `pip install pillow numpy resvg-py`, and `npm` for the download.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import logging
import re
import subprocess
import tarfile
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

log = logging.getLogger("demo")

SIDE = 64
SAMPLES_PER_TAR = 500
COMPONENTS_GROUP = "component"  # skin tones and hair: parts of emoji, not emoji
GZIPPED_GROUP = "flags"


@dataclass(frozen=True)
class Package:
    """One npm package: its name, the version in use, and the licence of its pictures or words."""

    name: str
    version: str
    licence: str

    @property
    def tarball(self) -> str:
        """File name that `npm pack` gives the package."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


NAMES = Package("emojibase-data", "17.0.0", "MIT")
KEYWORDS = Package("emojilib", "4.0.3", "MIT")

# The folder of the 64 px pictures inside the two `emoji-datasource` packages; None: an iconify set.
STYLES: dict[str, tuple[Package, str | None]] = {
    "noto": (Package("emoji-datasource-google", "16.0.0", "Apache-2.0"), "google"),
    "twemoji": (Package("emoji-datasource-twitter", "16.0.0", "CC-BY-4.0"), "twitter"),
    "fluent": (Package("@iconify-json/fluent-emoji", "1.2.7", "MIT"), None),
    "fluent-flat": (Package("@iconify-json/fluent-emoji-flat", "1.2.6", "MIT"), None),
    "noto-v1": (Package("@iconify-json/noto-v1", "1.2.5", "Apache-2.0"), None),
    "fxemoji": (Package("@iconify-json/fxemoji", "1.2.2", "Apache-2.0"), None),
    "emojione": (Package("@iconify-json/emojione", "1.2.3", "CC-BY-4.0"), None),
    "flag-icons": (Package("@iconify-json/flag", "1.2.12", "MIT"), None),
    "streamline": (Package("@iconify-json/streamline-emojis", "1.2.4", "CC-BY-4.0"), None),
}
BUNDLED_STYLE = "noto"
NUMBERED_STYLES = {"streamline"}  # they have several drawings of one emoji: 'cat-face', 'cat-face-1'


@dataclass(frozen=True)
class Emoji:
    """One emoji: its characters, words and place in the Unicode order."""

    key: str
    char: str
    hexcode: str
    name: str
    keywords: tuple[str, ...]
    more_keywords: tuple[str, ...]
    group: str
    subgroup: str
    icon_names: tuple[str, ...]  # without hyphens


# -- packages --------------------------------------------------------------------------------------


def fetch_package(package: Package, sources: Path) -> Path:
    """Return the package's tarball under `sources`, packed by npm when it is not there yet."""
    path = sources / package.tarball
    if not path.exists():
        sources.mkdir(parents=True, exist_ok=True)
        log.info("npm pack %s@%s", package.name, package.version)
        command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
        subprocess.run(command, cwd=sources, check=True, stdout=subprocess.DEVNULL)
    return path


def read_members(tarball: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Read the wanted files of an npm tarball, by their path below its top folder."""
    members: dict[str, bytes] = {}
    with tarfile.open(tarball) as tar:
        for member in tar:
            name = member.name.partition("/")[2]
            file = tar.extractfile(member) if wanted(name) else None
            if file is not None:
                members[name] = file.read()
    return members


def read_json(package: Package, sources: Path, *names: str) -> list[object]:
    """Read JSON files of a package, in the order asked for."""
    members = read_members(fetch_package(package, sources), set(names).__contains__)
    return [json.loads(members[name]) for name in names]


# -- names and keywords ----------------------------------------------------------------------------


def slug(text: str) -> str:
    """Lower-case words joined by hyphens: 'Japanese “here” button' -> 'japanese-here-button'."""
    ascii_text = unicodedata.normalize("NFKD", re.sub("[’']", "", text.lower())).encode("ascii", "ignore").decode()
    return re.sub("[^a-z0-9]+", "-", ascii_text.replace("&", " and ")).strip("-")


def plain_hexcode(hexcode: str) -> str:
    """A hexcode without presentation selectors, as the packages differ in writing them."""
    return hexcode.lower().replace("-fe0f", "")


def read_emoji(sources: Path) -> list[Emoji]:
    """Read every emoji that has a Noto picture, in Unicode order, without skin tones."""
    data, messages = read_json(NAMES, sources, "en/data.json", "en/messages.json")
    drawn = {plain_hexcode(row["unified"]): row for row in read_picture_rows(BUNDLED_STYLE, sources)}
    (more,) = read_json(KEYWORDS, sources, "dist/emoji-en-US.json")
    groups = {group["order"]: group["key"] for group in messages["groups"]}
    subgroups = {group["order"]: group["key"] for group in messages["subgroups"]}
    rows = [row for row in data if plain_hexcode(row["hexcode"]) in drawn and "group" in row]
    rows = [row for row in rows if groups[row["group"]] != COMPONENTS_GROUP]
    rows.sort(key=lambda row: row["order"])
    return [
        to_emoji(
            number, row, groups[row["group"]], subgroups[row["subgroup"]], drawn[plain_hexcode(row["hexcode"])], more
        )
        for number, row in enumerate(rows)
    ]


def to_emoji(
    number: int, row: Mapping, group: str, subgroup: str, picture_row: Mapping, more: Mapping[str, list[str]]
) -> Emoji:
    """Make one emoji from its rows in the three word lists."""
    name = row["label"]
    return Emoji(
        key=f"{number:04d}-{slug(name)}",
        char=row["emoji"],
        hexcode=row["hexcode"],
        name=name,
        keywords=tuple(row.get("tags", ())),
        more_keywords=tuple(clean_keywords(more.get(row["emoji"], ()))),
        group=group,
        subgroup=subgroup,
        icon_names=(*icon_names(name, picture_row), *flag_names(row["emoji"])),
    )


def clean_keywords(keywords: Iterable[str]) -> Iterable[str]:
    """Plain words only: 'grinning_face' becomes words, ':D' goes."""
    for keyword in keywords:
        words = keyword.replace("_", " ").lower().strip()
        if re.fullmatch("[a-z0-9][a-z0-9 '-]*", words):
            yield words


def icon_names(name: str, picture_row: Mapping) -> list[str]:
    """The names under which an icon set may know an emoji."""
    names = [name, *(f"{prefix} {name[6:]}" for prefix in ("flag", "flag for", "flag for flag") if "flag: " in name)]
    names += [picture_row["name"] or "", *picture_row["short_names"]]
    return [squeezed for squeezed in (slug(each).replace("-", "") for each in names) if squeezed]


def flag_names(char: str) -> list[str]:
    """The name of a flag among sets that go by country: 'fr4x3', 'gbeng4x3'."""
    regional = "".join(chr(ord(each) - 0x1F1E6 + ord("a")) for each in char if 0x1F1E6 <= ord(each) <= 0x1F1FF)
    tags = "".join(chr(ord(each) - 0xE0000) for each in char if 0xE0061 <= ord(each) <= 0xE007A)
    return [f"{regional or tags}4x3"] if regional or tags else []


# -- pictures --------------------------------------------------------------------------------------


def read_picture_rows(style: str, sources: Path) -> list[dict]:
    """Rows of an `emoji-datasource` package that have a picture in its style."""
    package, folder = STYLES[style]
    (rows,) = read_json(package, sources, "emoji.json")
    return [row for row in rows if row[f"has_img_{folder}"]]


def read_pictures(style: str, emoji: list[Emoji], sources: Path) -> dict[int, np.ndarray]:
    """Pictures of one style by emoji number: uint8 (64, 64, 4), RGBA."""
    _, folder = STYLES[style]
    pictures = read_png_pictures(style, emoji, sources) if folder else read_icon_pictures(style, emoji, sources)
    log.info("%s: %d of %d pictures", style, len(pictures), len(emoji))
    return pictures


def read_png_pictures(style: str, emoji: list[Emoji], sources: Path) -> dict[int, np.ndarray]:
    """Pictures of an `emoji-datasource` package."""
    package, folder = STYLES[style]
    prefix = f"img/{folder}/{SIDE}/"
    files = read_members(fetch_package(package, sources), lambda name: name.startswith(prefix))
    rows = {plain_hexcode(row["unified"]): row for row in read_picture_rows(style, sources)}
    drawn = {number: rows.get(plain_hexcode(each.hexcode)) for number, each in enumerate(emoji)}
    return {number: decode_rgba(files[prefix + row["image"]]) for number, row in drawn.items() if row}


def read_icon_pictures(style: str, emoji: list[Emoji], sources: Path) -> dict[int, np.ndarray]:
    """Pictures of an iconify set, found by name and drawn from their SVG."""
    (icons,) = read_json(STYLES[style][0], sources, "icons.json")
    names = [*icons.get("aliases", {}), *icons["icons"]]
    numbered = {re.sub(r"-\d$", "", name).replace("-", ""): name for name in names if style in NUMBERED_STYLES}
    known = {**numbered, **{name.replace("-", ""): name for name in names}}
    found = {
        number: next((known[name] for name in each.icon_names if name in known), None)
        for number, each in enumerate(emoji)
    }
    return {number: draw_icon(icons, name) for number, name in found.items() if name}


def draw_icon(icons: Mapping, name: str) -> np.ndarray:
    """Draw one icon of an iconify set: uint8 (64, 64, 4), RGBA."""
    import resvg_py

    name = icons.get("aliases", {}).get(name, {}).get("parent", name)
    icon = {"left": 0, "top": 0, "width": 16, "height": 16, **{k: v for k, v in icons.items() if k != "icons"}}
    icon |= icons["icons"][name]
    box = " ".join(str(icon[side]) for side in ("left", "top", "width", "height"))
    head = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    svg = f'<svg {head} viewBox="{box}" width="{SIDE}" height="{SIDE}">{icon["body"]}</svg>'
    return decode_rgba(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE)))


def decode_rgba(data: bytes) -> np.ndarray:
    """Decode a picture to uint8 (64, 64, 4), RGBA."""
    picture = Image.open(io.BytesIO(data)).convert("RGBA")
    if picture.size != (SIDE, SIDE):
        picture = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def lay_on_white(rgba: np.ndarray) -> Image.Image:
    """Lay an RGBA picture on white, so that every reader sees the same RGB; 256 colours."""
    canvas = Image.new("RGBA", (SIDE, SIDE), "white")
    laid = Image.alpha_composite(canvas, Image.fromarray(rgba)).convert("RGB")
    return laid.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


# -- writing ---------------------------------------------------------------------------------------


def write_tars(emoji: list[Emoji], pictures: Mapping[int, np.ndarray], folder: Path) -> None:
    """Write webdataset tars of `key.png`, `key.txt` and `key.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard, start in enumerate(range(0, len(emoji), SAMPLES_PER_TAR)):
        with tarfile.open(folder / f"{shard:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for number in range(start, min(start + SAMPLES_PER_TAR, len(emoji))):
                add_sample(tar, emoji[number], lay_on_white(pictures[number]))


def add_sample(tar: tarfile.TarFile, emoji: Emoji, picture: Image.Image) -> None:
    """Add one picture with its caption and metadata."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    add_member(tar, f"{emoji.key}.png", buffer.getvalue())
    add_member(tar, f"{emoji.key}.txt", emoji.name.encode())
    add_member(tar, f"{emoji.key}.json", json.dumps(metadata(emoji), ensure_ascii=False).encode())


def add_member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add one file whose header holds nothing but its name and size."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def metadata(emoji: Emoji) -> dict[str, str]:
    """The JSON beside a picture."""
    return {
        "name": emoji.name,
        "keywords": ", ".join(emoji.keywords),
        "group": emoji.group,
        "subgroup": emoji.subgroup,
        "emoji": emoji.char,
        "hexcode": emoji.hexcode,
    }


def write_text(emoji: list[Emoji], folder: Path) -> None:
    """Write one text file a group, one emoji a line; the flags gzipped."""
    folder.mkdir(parents=True, exist_ok=True)
    for group in dict.fromkeys(each.group for each in emoji):
        lines = [text_line(each) for each in emoji if each.group == group]
        data = "".join(f"{line}\n" for line in lines).encode()
        if group == GZIPPED_GROUP:
            (folder / f"{group}.txt.gz").write_bytes(gzip.compress(data, 9, mtime=0))
        else:
            (folder / f"{group}.txt").write_bytes(data)


def text_line(emoji: Emoji) -> str:
    """One line of the corpus: 'dog face: dog, face, pet'."""
    return f"{emoji.name}: {', '.join(emoji.keywords)}"


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=Path, default=Path("build/demo"), help="folder of the npm tarballs")
    parser.add_argument("--output", type=Path, default=Path("clip_spark/demo"), help="folder to write into")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Write the pictures and the text corpus."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = parse_arguments(argv)
    emoji = read_emoji(arguments.sources)
    pictures = read_pictures(BUNDLED_STYLE, emoji, arguments.sources)
    write_tars(emoji, pictures, arguments.output / "pictures")
    write_text(emoji, arguments.output / "text")
    log.info("%d emoji written to %s", len(emoji), arguments.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
