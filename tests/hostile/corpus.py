"""A folder of a few hundred files that a careless indexer would stumble over, and what must become of each.

    python -m tests.hostile.corpus FOLDER

The same files each time. Every file ends as a picture of the right size, the right way up, or as a sentence.
"""

import random
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from tests.hostile import special
from tests.hostile.seeds import BLUE, CORNERS, GREEN, ORIENTED, SIZE, WHITE, exif, frames, quarters, saved, seeds
from tests.unit.picture_files import png

NOT_A_PICTURE = ("The content is not a",)
TOO_LARGE = ("The picture has ",)
DAMAGED = ("The picture is cut short", "The picture's data is damaged", "The picture's header is damaged")
WRONG_HEADER = TOO_LARGE + DAMAGED + NOT_A_PICTURE
EMPTY = ("The file is empty.",)


@dataclass(frozen=True)
class Case:
    """A file, and what must become of it: a picture of this size with these corners, or one of these reasons (their starts).

    Where both are given either will do: whether a decoder forgives the damage is its own affair, a wrong picture is not.
    """

    name: bytes
    content: bytes | None
    size: tuple[int, int] | None = None
    corners: Any = None
    reasons: tuple[str, ...] = ()


def good(name: str | bytes, content: bytes, size: tuple[int, int] = SIZE, corners: Any = CORNERS) -> Case:
    return Case(name.encode() if isinstance(name, str) else name, content, size, corners)


def bad(name: str, content: bytes, reasons: tuple[str, ...] = DAMAGED) -> Case:
    return Case(name.encode(), content, reasons=reasons)


def damaged(name: str, content: bytes, size: tuple[int, int] = SIZE) -> Case:
    return Case(name.encode(), content, size, CORNERS, DAMAGED + NOT_A_PICTURE)


def cases() -> list[Case]:
    """Every file of the corpus."""
    parts = (kinds, oriented, tiny_and_giant, bombs, truncated, lying, metadata, disguises, names)
    return [case for part in parts for case in part()]


def write(folder: Path) -> list[Case]:
    """Write the files and make what is no file; returns every case, names relative to the folder."""
    made = cases()
    for case in made:
        path = folder / Path(*[part.decode("utf-8", "surrogateescape") for part in case.name.split(b"/")])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(case.content or b"")
    return made + [Case(name, None, reasons=reasons) for name, reasons in special.write(folder)]


def kinds() -> Iterator[Case]:
    """Honest pictures of unusual kinds."""
    for name, content in seeds().items():
        # CMYK inks are muted and a JPEG in a TIFF is coarse: the size alone counts
        yield good(f"kinds/{name}", content, corners=None if name in ("cmyk.jpg", "jpeg.tif") else CORNERS)
    grey = ((0,) * 3, (255,) * 3, (255,) * 3, (0,) * 3)
    rows = b"".join(b"\0" + (struct.pack(">HH", 0, 0xFFFF) if y < 1 else struct.pack(">HH", 0xFFFF, 0)) for y in range(2))
    yield good("kinds/grey16.png", png(2, 2, 16, 0, rows), (2, 2), grey)
    wide = [struct.pack(">HHH", *(value * 257 for value in colour)) for colour in CORNERS]
    yield good("kinds/rgb16.png", png(2, 2, 16, 2, b"\0" + wide[0] + wide[1] + b"\0" + wide[2] + wide[3]), (2, 2))
    yield good("kinds/grey16.tif", saved(Image.new("I;16", SIZE, 0xFFFF), "TIFF"), corners=(WHITE,) * 4)
    yield good("kinds/float.tif", saved(Image.new("F", SIZE, 1.0), "TIFF"), corners=(WHITE,) * 4)
    yield good("kinds/integer.tif", saved(Image.new("I", SIZE, 65535), "TIFF"), corners=(WHITE,) * 4)
    yield good("kinds/one-bit.png", saved(Image.new("1", SIZE, 1), "PNG"), corners=(WHITE,) * 4)
    yield good("kinds/one-bit.tif", saved(Image.new("1", SIZE, 1), "TIFF", compression="group4"), corners=(WHITE,) * 4)
    yield good("kinds/lab.tif", saved(Image.new("LAB", SIZE, (255, 128, 128)), "TIFF"), corners=None)
    yield good("kinds/cmyk.tif", saved(Image.new("CMYK", SIZE, (0, 0, 0, 0)), "TIFF"), corners=(WHITE,) * 4)
    clear = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    for kind, ending in (("PNG", "png"), ("WEBP", "webp"), ("TIFF", "tif")):
        yield good(f"kinds/clear.{ending}", saved(clear, kind), corners=(WHITE,) * 4)
    palette = quarters().quantize(4)
    for kind in ("PNG", "GIF"):
        index = palette.getpixel((0, 0))
        content = saved(palette, kind, transparency=index)
        yield good(f"kinds/palette-transparent.{kind.lower()}", content, corners=(WHITE, GREEN, BLUE, WHITE))
    yield good("kinds/grey-alpha.png", saved(Image.new("LA", SIZE, (0, 0)), "PNG"), corners=(WHITE,) * 4)


def oriented() -> Iterator[Case]:
    """Every way of holding a camera, in every format that says so, and ways that do not exist."""
    upright = quarters()
    for orientation, turn in ORIENTED.items():
        stored = upright if turn is None else upright.transpose(turn)
        for kind, ending, options in (
            ("JPEG", "jpg", {"quality": 95, "subsampling": 0}),
            ("PNG", "png", {}),
            ("WEBP", "webp", {"lossless": True}),
            ("TIFF", "tif", {}),
        ):
            yield good(f"oriented/{orientation}.{ending}", saved(stored, kind, exif=exif(orientation), **options))
    for orientation in (0, 9, 65535):
        yield good(f"oriented/{orientation}.jpg", saved(upright, "JPEG", quality=95, exif=exif(orientation)))


def tiny_and_giant() -> Iterator[Case]:
    """1 x 1, and panoramas."""
    for kind, ending in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("GIF", "gif"), ("BMP", "bmp"), ("TIFF", "tif")):
        yield good(f"tiny/one.{ending}", saved(Image.new("RGB", (1, 1), WHITE), kind), (1, 1), (WHITE,) * 4)
    yield good("giant/strip.png", saved(Image.new("L", (100_000, 1), 255), "PNG"), (100_000, 1), (WHITE,) * 4)
    yield good("giant/pole.png", saved(Image.new("L", (1, 100_000), 255), "PNG"), (1, 100_000), (WHITE,) * 4)
    yield good("giant/panorama.jpg", saved(quarters(30_000, 1_500), "JPEG"), (30_000, 1_500))
    yield good("giant/panorama.png", saved(quarters(30_000, 700), "PNG", compress_level=1), (30_000, 700))
    yield good("giant/panorama.tif", saved(quarters(30_000, 700), "TIFF", compression="tiff_lzw"), (30_000, 700))
    white = b"\0" + b"\xff" * (15_000 // 8)
    yield good("giant/249-megapixels.png", png(15_000, 16_600, 1, 0, white * 16_600), (15_000, 16_600), (WHITE,) * 4)


def bombs() -> Iterator[Case]:
    """Files that are small and want a lot."""
    for side in (16_000, 50_000, 2**31 - 1):
        yield bad(f"bombs/{side}.png", png(side, side, 8, 6, b"\0" * 1000), TOO_LARGE + DAMAGED)
    jpeg = seeds()["baseline.jpg"]
    start = jpeg.index(b"\xff\xc0") + 5
    for height, width in ((65_500, 65_500), (65_535, 4_000), (65_535, 1), (1, 65_535), (0, 64), (48, 0)):
        content = jpeg[:start] + struct.pack(">HH", height, width) + jpeg[start + 4 :]
        yield bad(f"bombs/{width}x{height}.jpg", content, TOO_LARGE + DAMAGED)
    # 240 megapixels are allowed, and libjpeg makes those that are not there grey
    content = jpeg[:start] + struct.pack(">HH", 15_000, 16_000) + jpeg[start + 4 :]
    yield Case(b"bombs/16000x15000.jpg", content, (16_000, 15_000), None, DAMAGED)
    gif = seeds()["still.gif"]
    yield bad("bombs/65535.gif", gif[:6] + struct.pack("<HH", 65_535, 65_535) + gif[10:], TOO_LARGE)
    yield good("bombs/frames.gif", saved(quarters(), "GIF", save_all=True, append_images=frames(2000)))
    yield good("bombs/frames.webp", saved(quarters(), "WEBP", save_all=True, append_images=frames(200), lossless=True))
    yield good("bombs/frames.png", saved(quarters(), "PNG", save_all=True, append_images=frames(200)))
    bmp = seeds()["rgb.bmp"]
    for width, height in ((2**31 - 1, 2**31 - 1), (60_000, 60_000), (60_000, -60_000), (-64, 48), (64, 0)):
        yield bad(f"bombs/{width}x{height}.bmp", bmp[:18] + struct.pack("<ii", width, height) + bmp[26:], WRONG_HEADER)
    for name, tags in {
        "strips": {256: 100_000, 257: 100_000},
        "tiles": {256: 20_000, 257: 12_000, 322: 20_000, 323: 12_000},
        "giant-tiles": {256: 64, 257: 48, 322: 2**31 - 16, 323: 2**31 - 16},
        "samples": {256: 64, 257: 48, 277: 65_535},
    }.items():
        yield bad(f"bombs/{name}.tif", special.tiff(tags), TOO_LARGE + DAMAGED)
    yield bad("bombs/loop.tif", special.tiff({256: 64, 257: 48}, next_folder=8), TOO_LARGE + DAMAGED)
    yield bad("bombs/canvas.webp", special.webp_canvas(16_384, 16_384), TOO_LARGE + DAMAGED)
    for kind in (b"zTXt", b"iTXt", b"iCCP"):
        yield damaged(f"bombs/{kind.decode()}.png", special.png_text_bomb(seeds()["rgb.png"], kind))


def truncated() -> Iterator[Case]:
    """Every seed, cut at many points."""
    for name, content in seeds().items():
        for share in (0.05, 0.2, 0.5, 0.8, 0.97):
            cut = content[: max(1, int(len(content) * share))]
            corners = None if name in ("cmyk.jpg", "jpeg.tif") else CORNERS
            yield Case(f"truncated/{int(share * 100):02}-{name}".encode(), cut, SIZE, corners, DAMAGED + NOT_A_PICTURE)
        yield bad(f"truncated/00-{name}", content[:1], NOT_A_PICTURE)


def lying() -> Iterator[Case]:
    """Extensions and headers that say what is not so."""
    for name, content in seeds().items():
        ending = {
            "jpg": "png",
            "png": "tif",
            "webp": "jpg",
            "gif": "bmp",
            "bmp": "jpeg",
            "tif": "webp",
            "avif": "jpg",
            "heic": "jpg",
        }[name.rpartition(".")[2]]
        corners = None if name in ("cmyk.jpg", "jpeg.tif") else CORNERS
        yield good(f"lying/{name.replace('.', '-')}.{ending}", content, corners=corners)
    made = seeds()
    rng = random.Random(6)
    for name in ("baseline.jpg", "progressive.jpg", "rgb.png", "lossy.webp", "still.gif", "rgb.bmp", "lzw.tif", "animated.webp"):
        content, ending = made[name], name.rpartition(".")[2]
        yield bad(f"lying/magic-only-{name}", content[:12] + bytes(rng.randrange(256) for _ in range(500)), DAMAGED + TOO_LARGE)
        yield damaged(f"lying/trailing-{name}", content + b"<?php echo 1; ?>" * 100)
        yield bad(f"lying/leading-{name}", b"\0" * 16 + content, NOT_A_PICTURE + DAMAGED)
        other = b"GIF89a" + content[6:] if ending != "gif" else b"\x89PNG\r\n\x1a\n" + content
        yield bad(f"lying/magic-of-another-{name}", other, TOO_LARGE + DAMAGED)
    for length in (0, 1, 65_535):
        content = made["baseline.jpg"]
        yield damaged(f"lying/segment-{length}.jpg", content[:4] + struct.pack(">H", length) + content[6:])
    for length in (0, 12, 2**31, 2**32 - 1):
        content = made["rgb.png"]
        yield damaged(f"lying/chunk-{length}.png", content[:8] + struct.pack(">I", length) + content[12:])
        content = made["lossy.webp"]
        yield damaged(f"lying/riff-{length}.webp", content[:4] + struct.pack("<I", length) + content[8:])
    content = made["rgb.bmp"]
    for offset in (0, 2**31, 2**32 - 1):
        yield Case(
            f"lying/offset-{offset}.bmp".encode(), content[:10] + struct.pack("<I", offset) + content[14:], SIZE, None, DAMAGED
        )


def metadata() -> Iterator[Case]:
    """Broken EXIF and colour profiles cost nothing but themselves."""
    rng = random.Random(7)
    noise = bytes(rng.randrange(256) for _ in range(300))
    loop = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0"
    giant = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\xff\xff\xff\xff\x08\0\0\0\0\0\0\0"
    for name, block in {
        "noise": b"Exif\0\0" + noise,
        "loop": loop,
        "giant": giant,
        "cut": loop[:15],
        "none": b"Exif\0\0",
    }.items():
        for kind, ending in (("JPEG", "jpg"), ("WEBP", "webp"), ("PNG", "png")):
            yield good(f"metadata/{name}.{ending}", saved(quarters(), kind, quality=95, exif=block))
    for name, block in {"noise": noise, "cut": seeds()["profile.jpg"][600:700], "zeros": bytes(200)}.items():
        for kind, ending in (("JPEG", "jpg"), ("PNG", "png"), ("TIFF", "tif"), ("WEBP", "webp")):
            yield good(f"metadata/icc-{name}.{ending}", saved(quarters(), kind, quality=95, icc_profile=block))


def disguises() -> Iterator[Case]:
    """What is no picture, in a picture's clothes, and pictures that are something else as well."""
    for number, content in enumerate(special.NOT_PICTURES):
        yield bad(f"disguises/{number:02}.jpg", content, (*NOT_A_PICTURE, "A video is not read", *DAMAGED))
    yield bad("disguises/empty.jpg", b"", EMPTY)
    yield bad("disguises/empty.png", b"", EMPTY)
    yield bad("disguises/zeros.jpg", bytes(100_000), NOT_A_PICTURE)
    page = b"<html><script>alert(1)</script></html>"
    yield good("disguises/page-inside.jpg", saved(quarters(), "JPEG", quality=95, comment=page))
    yield good("disguises/page-behind.jpg", seeds()["baseline.jpg"] + page)
    yield good("disguises/archive-behind.png", seeds()["rgb.png"] + b"PK\x05\x06" + bytes(18))
    yield good("disguises/script.gif", saved(quarters(), "GIF", comment=b"*/=1;alert(1)//"))


def names() -> Iterator[Case]:
    """Names that break lists, terminals, JSON and other people's code."""
    for name in (
        b"new\nline.jpg",
        b"carriage\rreturn.jpg",
        b"tab\tand\x1b[31mcolour.jpg",
        b"bell\x07.jpg",
        "emoji-\N{PILE OF POO}\N{ZERO WIDTH JOINER}.jpg".encode(),
        "caf\u00e9-composed.jpg".encode(),
        "cafe\u0301-decomposed.jpg".encode(),
        "\u202egpj.right-to-left.jpg".encode(),
        "\u65e5\u672c\u8a9e.jpg".encode(),
        b"latin1-caf\xe9.jpg",
        b"\xff\xfe\xfd.jpg",
        b"overlong-\xc0\xaf.jpg",
        b"surrogate-\xed\xa0\x80.jpg",
        b"percent-%E9-%25-100%.jpg",
        b"-rf.jpg",
        b"--help.jpg",
        b" space before and after .jpg",
        b"quotes-'\"`$(true)`.jpg",
        b"back\\slash.jpg",
        b"star*?[a-z].jpg",
        b"semi;colon&&|.jpg",
        b"UPPER.JPG",
        b"two.dots..jpg",
        b"x" * 251 + b".jpg",
        b"deep/" * 60 + b"a.jpg",
    ):
        yield good(b"names/" + name, seeds()["baseline.jpg"])


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    print(f"{len(write(target))} files in {target}")
