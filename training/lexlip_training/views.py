"""Pictures as training sees them: decoded when asked for, plain or as random views.

Never flipped: captions say left and right.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureSpec, open_picture
from lexlip_training.data import Split
from lexlip_training.recipe import AugmentRecipe


def random_view(pixels: NDArray[np.uint8], recipe: AugmentRecipe, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random crop of (S, S, 3), brought to (size, size, 3); its area is at least `min_area` of the picture's."""
    area, stretch = rng.uniform(recipe.min_area, 1.0), math.exp(rng.uniform(-recipe.max_stretch, recipe.max_stretch))
    wide, high = min(1.0, math.sqrt(area * stretch)), min(1.0, math.sqrt(area / stretch))
    left, top = rng.uniform(0.0, 1.0 - wide), rng.uniform(0.0, 1.0 - high)
    height, width = pixels.shape[:2]
    box = (left * width, top * height, (left + wide) * width, (top + high) * height)
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC, box=box))


@contextmanager
def global_draws(rng: np.random.Generator) -> Iterator[None]:
    """Within, Python's `random` and numpy's global generator draw what `rng` decides; afterwards they are as they were.

    For libraries that take no generator: what they draw would else depend on what was drawn before, and a resumed run, or one
    with another number of workers, would see other pictures.
    """
    python, numpy = random.getstate(), np.random.get_state()
    random.seed(int(rng.integers(2**63)))
    np.random.seed(int(rng.integers(2**32)))
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


class RandAugment:
    """timm's RandAugment (https://arxiv.org/abs/1909.13719), drawing from a generator that is given."""

    def __init__(self, policy: str, mean: Sequence[float]) -> None:
        """A policy such as "rand-m9-n2"; what an operation moves away is filled with `mean`, in 0..1. Raises `LexlipError`."""
        from timm.data.auto_augment import rand_augment_transform  # only live recipes need it

        fill = tuple(round(255 * value) for value in mean)
        try:
            self._transform: Callable[[Image.Image], Image.Image] = rand_augment_transform(policy, {"img_mean": fill})
        except (AssertionError, KeyError, ValueError) as error:
            raise LexlipError(f"augment.randaugment is {policy!r}: write a policy of timm's, such as 'rand-m9-n2'.") from error

    def __call__(self, pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """(S, S, 3) -> (S, S, 3)."""
        with global_draws(rng):
            return np.asarray(self._transform(Image.fromarray(pixels)))


def make_randaugment(policy: str, mean: Sequence[float]) -> RandAugment | None:
    """`RandAugment` for a policy, or None for an empty one."""
    return RandAugment(policy, mean) if policy else None


class LivePictures:
    """Pictures decoded when they are asked for: uint8 (S, S, 3)."""

    def __init__(self, split: Split, spec: PictureSpec, augment: AugmentRecipe, mean: Sequence[float]) -> None:
        """The pictures of a split as `spec` and, for random views, `augment` say; `mean` fills what RandAugment moves away."""
        self.split, self.spec, self.augment = split, spec, augment
        self._randaugment = make_randaugment(augment.randaugment, mean)

    def get(self, row: int, rng: np.random.Generator | None) -> Tensor:
        """See `PictureSource`."""
        pixels = open_picture(self.split.picture(row), self.spec).pixels
        if rng is not None:
            pixels = random_view(pixels, self.augment, self.spec.size, rng)
            if self._randaugment is not None:
                pixels = self._randaugment(pixels, rng)
        return torch.from_numpy(np.array(pixels))

    def blank(self) -> Tensor:
        """See `PictureSource`."""
        return torch.zeros(self.spec.size, self.spec.size, 3, dtype=torch.uint8)
