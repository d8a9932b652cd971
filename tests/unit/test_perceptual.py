import io
import re

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from lexlip_es.images import PictureSpec, open_picture
from lexlip_es.perceptual import HASH_BYTES, perceptual_hash

SPEC = PictureSpec(224)


def scene(seed: int) -> Image.Image:
    """A picture of many soft shapes, as different from another seed's as two photographs are."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    return coarse.resize((640, 480), Image.Resampling.BICUBIC)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def hashed(image: Image.Image, kind: str = "PNG", **options: object) -> str:
    found = open_picture(saved(image, kind, **options), SPEC).perceptual_hash
    assert found is not None
    return found


def differing_bits(one: str, other: str) -> int:
    return (int(one[:64], 16) ^ int(other[:64], 16)).bit_count()


@pytest.mark.parametrize("seed", range(5))
def test_a_copy_has_nearly_the_same_hash(seed: int) -> None:
    original = scene(seed)
    for copy in (
        hashed(original, "JPEG", quality=50),
        hashed(original.resize((320, 240), Image.Resampling.LANCZOS)),
        hashed(ImageEnhance.Brightness(original).enhance(0.9)),
    ):
        assert differing_bits(hashed(original), copy) <= 23


def test_different_pictures_differ_in_nearly_half_of_their_bits() -> None:
    hashes = [hashed(scene(seed)) for seed in range(12)]
    assert min(differing_bits(one, other) for i, one in enumerate(hashes) for other in hashes[:i]) > 80


def test_colours_are_told_apart_where_shapes_are_the_same() -> None:
    original = scene(1)
    red, green, blue = original.split()
    swapped = Image.merge("RGB", (blue, green, red))
    assert hashed(original)[64:] != hashed(swapped)[64:]
    assert set(hashed(original.convert("L"))[64:]) == {"8"}  # no colour at all


def test_a_hash_is_hexadecimal_digits_and_the_same_each_time() -> None:
    assert re.fullmatch(f"[0-9a-f]{{{2 * HASH_BYTES}}}", hashed(scene(3)))
    assert hashed(scene(3)) == hashed(scene(3))


def test_a_picture_that_shows_next_to_nothing_has_no_hash() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(0, 3, (1100, 800, 1))
    scan = Image.fromarray(np.clip(250 + noise, 0, 255).astype(np.uint8).repeat(3, -1))
    gradient = Image.linear_gradient("L").resize((640, 480)).convert("RGB")
    for blank in (Image.new("RGB", (800, 600), "white"), Image.new("RGB", (1, 1), "red"), scan, gradient):
        assert open_picture(saved(blank), SPEC).perceptual_hash is None
        assert open_picture(saved(blank, "JPEG"), SPEC).perceptual_hash is None


def test_a_page_of_text_has_a_hash() -> None:
    page = Image.new("RGB", (800, 1100), "white")
    for line in range(40):
        ImageDraw.Draw(page).text((60, 60 + 25 * line), "some words that stand on this page", fill="black", font_size=20)
    assert hashed(page) != hashed(page.filter(ImageFilter.GaussianBlur(2)).rotate(180))


@pytest.mark.parametrize("size", [1, 7, 32, 100, 384])
def test_any_size_of_pixels_is_hashed(size: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    assert (perceptual_hash(pixels) is None) == (size == 1)
