"""A hash of what a picture looks like: nearly the same for its resized, recompressed, brightened or watermarked copies.

Grey shapes are hashed as pHash and PDQ do (signs of the low frequencies of a cosine transform about their median), by hand:
imagehash would bring SciPy and PyWavelets for these twenty lines, and its 64 bits folded five times as many different
products as they found copies (`benchmarks/near_duplicates.py`). Coarse colours come along, since shapes alone take a blue bag
for an orange one. All arithmetic after Pillow's is in integers, so that a hash is the same on every machine.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from lexlip_es.pixels import Pixels

SHAPE_BYTES, COLOUR_BYTES = 32, 16
HASH_BYTES = SHAPE_BYTES + COLOUR_BYTES
_SIDE = 32  # pixels of the small picture
_FREQUENCIES = 16  # kept in each direction, without the constant one
_ONE = 1 << 10  # of the cosines, as integers
_FLAT = _ONE * _ONE * _SIDE // 2  # a coefficient of one grey level, as an orthonormal transform would give it
_CELLS = 4  # in each direction, of one mean colour each


def perceptual_hash(pixels: Pixels) -> str | None:
    """96 hexadecimal digits for a picture of (S, S, 3) RGB, or None for one that shows next to nothing.

    The first 64 are 256 bits of shape, lowest frequencies spread over all of them, so that any 16 bits are a fair sample; the
    others are the Cb and Cr of 4 x 4 cells, 4 bits each, in steps of 4. A blank page or a plain wall has no hash: only noise
    would tell one from another, and all of them would be duplicates.
    """
    from PIL import Image

    small = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX).convert("YCbCr")
    planes = np.asarray(small, dtype=np.int64)  # (32, 32, 3)
    waves = _cosines()
    shape = (waves @ planes[:, :, 0] @ waves.T).ravel()[_spread()]  # (256,)
    if np.median(np.abs(shape)) < _FLAT:
        return None
    bits = np.packbits(shape > np.median(shape))
    block = _SIDE // _CELLS
    sums = planes[:, :, 1:].reshape(_CELLS, block, _CELLS, block, 2).sum((1, 3))  # (4, 4, 2)
    steps = np.clip((sums - (128 * 64 - 128)) // 256 + 8, 0, 15).ravel()  # (32,)
    colours = (steps[::2] << 4 | steps[1::2]).astype(np.uint8)
    return bytes(bits).hex() + bytes(colours).hex()


@cache
def _cosines() -> NDArray[np.int64]:
    """Rows of the DCT-II, frequencies 1 to 16, as integers: (16, 32)."""
    frequency, place = np.arange(1, _FREQUENCIES + 1), np.arange(_SIDE)
    waves: NDArray[np.float64] = np.cos(np.pi / (2 * _SIDE) * np.outer(frequency, 2 * place + 1))
    return np.rint(_ONE * waves).astype(np.int64)


@cache
def _spread() -> NDArray[np.int64]:
    """An order of the 16 x 16 coefficients in which each run of 16 has high frequencies and low ones: (256,)."""
    rows, columns = np.divmod(np.arange(_FREQUENCIES**2), _FREQUENCIES)
    rising = np.lexsort((columns, rows, rows + columns))
    return np.ascontiguousarray(rising.reshape(_FREQUENCIES, _FREQUENCIES).T).ravel()
