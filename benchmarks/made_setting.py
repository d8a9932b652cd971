"""A training run's setting without data or downloads: random weights, random pixels, captions of the length of people's."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lexlip_es.errors import LexlipError
from lexlip_es.lexicon import Lexicon
from lexlip_training.build import Built, build
from lexlip_training.data import Split, make_labels, tokenise
from lexlip_training.lexlip import LexLip
from lexlip_training.masked_lm import encoder_from_config, portable_config
from lexlip_training.recipe import Recipe
from lexlip_training.setting import Setting
from lexlip_training.starter_weights import minilm_folder
from lexlip_training.train import prepare_towers
from lexlip_training.validating import Gallery

KNOWN_TEXTS = {"bert-base-uncased": {"model_type": "bert"}}
"""Configurations by model name: transformers' defaults for a BERT are those of BERT-base, uncased."""


@dataclass(frozen=True)
class RandomPictures:
    """Noise where pictures would be."""

    size: int

    def get(self, row: int, rng: np.random.Generator | None) -> Tensor:
        """uint8 (S, S, 3)."""
        rng = np.random.default_rng(row) if rng is None else rng
        return torch.from_numpy(rng.integers(0, 256, (self.size, self.size, 3), np.uint8))

    def blank(self) -> Tensor:
        """uint8 (S, S, 3) of zeros."""
        return torch.zeros(self.size, self.size, 3, dtype=torch.uint8)


def made_split(pictures: int, captions: int, lexicon: Lexicon, seed: int) -> Split:
    """Captions of 14.4 pieces on average with a deviation of 4, as Flickr8k's are ([CLS] and [SEP] included)."""
    rng = np.random.default_rng(seed)
    words = np.array([piece for piece in lexicon.pieces if piece.isascii() and piece.isalpha() and len(piece) > 1][:8000])
    chance = 1 / np.arange(10, 10 + len(words))
    chance /= chance.sum()
    lengths = rng.normal(12.4, 4.1, (pictures, captions)).round().clip(5, 30).astype(int)
    said = tuple(tuple(" ".join(rng.choice(words, n, p=chance)) for n in own) for own in lengths)
    return Split("train", Path(), tuple(f"{row}.jpg" for row in range(pictures)), said)


def random_model(recipe: Recipe, train: Split) -> Built:
    """As `build`, with random weights of the towers' full size; raises `LexlipError` for a text tower not known offline."""
    source = recipe.text.model
    plain = replace(recipe, start="", picture=replace(recipe.picture, weights="random"))
    if source.startswith(("random:", "package:")) or Path(source).is_dir():
        return build(plain, train)
    if source not in KNOWN_TEXTS or recipe.kind != "lexlip":
        raise LexlipError(f"'{source}' is not among the text towers known offline: --set text.model=random:LAYERSxDIM.")
    small = build(replace(plain, text=replace(recipe.text, model="random:1x32")), train)
    config = portable_config(encoder_from_config(KNOWN_TEXTS[source]))
    model = LexLip(replace(small.model.architecture, text_config=config), recipe.picture.mean, recipe.picture.std)
    model.set_active(small.model.active)
    return Built(model, small.lexicon, small.tokenizer_file)


def made_setting(recipe: Recipe, pictures: int, captions: int) -> Setting:
    """A run's setting on `pictures` made ones with `captions` each."""
    lexicon = Lexicon.from_tokenizer(minilm_folder() / "tokenizer.json")  # BERT's uncased vocabulary
    split = made_split(pictures, captions, lexicon, recipe.seed)
    torch.manual_seed(recipe.seed)
    built = random_model(recipe, split)
    prepare_towers(built.model, recipe)
    pieces = tokenise(split.texts, built.tokenizer_file, recipe.text.max_tokens)
    gallery = Gallery(split, RandomPictures(recipe.picture.size), pieces)
    labels = make_labels(split, pieces, built.model.place_of.numpy()) if recipe.wants_labels else None
    return Setting(recipe, built, gallery, gallery, labels, {}, 0)
