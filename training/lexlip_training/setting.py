"""What all phases of a run share: the model, the splits, and where pictures and captions come from (decoded live, or cached)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureSpec
from lexlip_training.build import Built, build
from lexlip_training.cache import CachedPictures, cache_captions, cache_view
from lexlip_training.data import Labels, PictureSource, Split, check_bad, load_split, make_labels, tokenise
from lexlip_training.recipe import Recipe
from lexlip_training.teacher import Teacher
from lexlip_training.validating import Gallery
from lexlip_training.views import LivePictures

Report = Callable[[str], None]


@dataclass
class Setting:
    """See the module's docstring. `left_out` names, by split, pictures that are missing, without caption or unreadable."""

    recipe: Recipe
    built: Built
    train: Gallery
    dev: Gallery
    labels: Labels | None
    left_out: dict[str, list[str]]
    views: int  # random views beside the plain one; 0 = every view is drawn live
    teacher: Teacher | None = None  # made by the first phase that distils, kept for the others

    def gallery(self, name: str, report: Report) -> Gallery:
        """Another split (the test split) prepared like dev; only the end of a run asks for it."""
        split, absent = load_split(self.recipe.data, name)
        gallery, unreadable = _gallery(self.recipe, self.built, split, report, random_views=0)
        self.left_out[name] = absent + unreadable
        return gallery


def prepare(recipe: Recipe, report: Report) -> Setting:
    """Load data, build the model, fill the caches. Raises `LexlipError`; reports every left-out picture's name."""
    train, absent_train = load_split(recipe.data, "train")
    dev, absent_dev = load_split(recipe.data, "dev")
    if shared := set(train.files) & set(dev.files):
        raise LexlipError(
            f"the dev split shares {len(shared)} pictures with the training split ({sorted(shared)[0]}): separate them."
        )
    torch.manual_seed(recipe.seed)
    built = build(recipe, train)
    built.model.eval()
    views = recipe.augment.views if recipe.cache else 0
    train_gallery, bad_train = _gallery(recipe, built, train, report, random_views=views)
    dev_gallery, bad_dev = _gallery(recipe, built, dev, report, random_views=0)
    left_out = {"train": absent_train + bad_train, "dev": absent_dev + bad_dev}
    for name, files in left_out.items():
        if files:
            report(f"left out of {name}: {len(files)} pictures ({', '.join(files[:20])}{', ...' if len(files) > 20 else ''})")
    labels = None
    if recipe.wants_labels:
        labels = make_labels(train_gallery.split, train_gallery.pieces, built.model.place_of.numpy())
    return Setting(recipe, built, train_gallery, dev_gallery, labels, left_out, views)


def picture_spec(recipe: Recipe) -> PictureSpec:
    """How a recipe's pictures are brought to their square."""
    return PictureSpec(recipe.picture.size, recipe.picture.resize, recipe.picture.interpolation)


def _gallery(recipe: Recipe, built: Built, split: Split, report: Report, *, random_views: int) -> tuple[Gallery, list[str]]:
    spec = picture_spec(recipe)
    model = built.model
    if not recipe.cache:
        pieces = tokenise(split.texts, built.tokenizer_file, recipe.text.max_tokens)
        return Gallery(split, LivePictures(split, spec, recipe.augment, recipe.picture.mean), pieces), []
    if recipe.picture.frozen_blocks == 0:
        raise LexlipError("a cache needs a frozen part of the backbone: set picture.frozen_blocks, or leave cache empty.")
    folder = Path(recipe.cache)
    model.picture.backbone.network.to(memory_format=torch.channels_last)  # half as long again on a CPU otherwise
    device = model.mean.device
    digest = model.picture_prefix_digest()

    def prefix(pixels: Tensor) -> Tensor:
        below: Tensor = model.picture_prefix(pixels.to(device))
        return below

    def text_prefix(ids: Tensor, mask: Tensor) -> Tensor:
        below: Tensor = model.text.prefix(ids.to(device), mask.to(device))
        return below

    cached = [
        cache_view(prefix, digest, split, spec, recipe.augment, view, folder=folder, seed=recipe.seed, report=report)
        for view in range(random_views + 1)
    ]
    unreadable = sorted({file for view in cached for file in view.unreadable})
    check_bad(len(unreadable), len(split), recipe.data.max_bad, f"the {split.name} split")
    rows = np.flatnonzero(~np.isin(split.files, unreadable))
    split = split.without(unreadable)
    pieces = tokenise(split.texts, built.tokenizer_file, recipe.text.max_tokens)
    below = None
    if recipe.text.frozen_layers:
        below = cache_captions(text_prefix, model.text_prefix_digest(), pieces, folder=folder, name=split.name, report=report)
    source: PictureSource = CachedPictures(cached, rows)
    return Gallery(split, source, pieces, below), unreadable
