"""Recall of a model on a split, in memory and unpruned: what picks the best checkpoint, and what a card reports."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexlip_es.evaluation import Recall, ranks
from lexlip_es.images import PictureError
from lexlip_training.batches import pad_hidden
from lexlip_training.data import PictureSource, Pieces, Split
from lexlip_training.lexlip import LexLip
from lexlip_training.losses import unit

TextSide = Literal["bag", "tower"]


@dataclass(frozen=True)
class Gallery:
    """A split ready to be encoded: its pictures, its captions as pieces, and the cached text prefix where there is one."""

    split: Split
    pictures: PictureSource
    pieces: Pieces
    below: NDArray[np.float16] | None = None


@dataclass(frozen=True)
class Scores:
    """Both directions, and the mean number of non-zero terms a picture and a caption."""

    text_to_picture: Recall
    picture_to_text: Recall
    picture_terms: float
    text_terms: float

    @property
    def total(self) -> float:
        """R@1 + R@5 + R@10, text to picture: what picks the best checkpoint."""
        found = self.text_to_picture
        return found.at_1 + found.at_5 + found.at_10

    def to_dict(self) -> dict[str, Any]:
        """For logs and cards."""
        return asdict(self)


@torch.no_grad()
def encode_pictures(model: LexLip, gallery: Gallery, batch: int = 64) -> tuple[Tensor, list[int]]:
    """Raw lexicon weights (P, A) of the split's readable pictures, and their rows; the plain view of each."""
    device = model.mean.device
    outputs, rows = [], []
    for start in range(0, len(gallery.split), batch):
        pictures = []
        for row in range(start, min(start + batch, len(gallery.split))):
            try:
                pictures.append(gallery.pictures.get(row, None))
                rows.append(row)
            except PictureError:
                continue
        if pictures:
            outputs.append(model.picture_weights(torch.stack(pictures).to(device)).float().cpu())
    return torch.cat(outputs), rows


@torch.no_grad()
def encode_captions(model: LexLip, gallery: Gallery, side: TextSide, batch: int = 128) -> Tensor:
    """Raw lexicon weights (T, A) of all captions of the split, in order."""
    device = model.mean.device
    pieces = gallery.pieces
    by_length = np.argsort(np.diff(pieces.offsets), kind="stable")
    weights = torch.zeros(len(pieces), model.architecture.active)
    for start in range(0, len(pieces), batch):
        chosen = by_length[start : start + batch]
        ids, mask = (tensor.to(device) for tensor in pieces.padded(chosen))
        if side == "bag":
            found = model.bag_weights(ids)
        else:
            below = None if gallery.below is None else pad_hidden(gallery.below, pieces, chosen, ids.shape[1]).to(device)
            found = model.text_weights(ids, mask, below)
        weights[torch.from_numpy(chosen)] = found.float().cpu()
    return weights


def score(pictures: Tensor, texts: Tensor, picture_of: NDArray[np.int64]) -> Scores:
    """Rank raw weights of pictures (P, A) and of texts (T, A); `picture_of` (T,) names each text's picture.

    What is searched (pictures for a text, texts for a picture) is L2-normalised, as documents are.
    """
    picture_scores = (texts @ unit(pictures).t()).numpy()  # (T, P)
    text_scores = (pictures @ unit(texts).t()).numpy()  # (P, T)
    captions_of = [np.flatnonzero(picture_of == row) for row in range(len(pictures))]
    to_picture = ranks(picture_scores, [[int(row)] for row in picture_of])
    to_text = ranks(text_scores, [list(map(int, own)) for own in captions_of])
    return Scores(
        Recall.of(to_picture, len(pictures)),
        Recall.of(to_text, len(texts)),
        round(float((pictures > 0).sum(1).float().mean()), 1),
        round(float((texts > 0).sum(1).float().mean()), 1),
    )


def score_rows(pictures: Tensor, rows: list[int], texts: Tensor, split: Split) -> Scores:
    """As `score`, where only the pictures at `rows` of the split could be read: the others' captions have no right answer."""
    picture_of = split.picture_of
    if len(rows) < len(split):
        kept = np.isin(picture_of, rows)
        texts, picture_of = texts[torch.from_numpy(kept)], np.searchsorted(rows, picture_of[kept])
    return score(pictures, texts, picture_of)


def validate(model: LexLip, gallery: Gallery, side: TextSide) -> Scores:
    """Encode a split and score it; the model is put in evaluation mode and left there."""
    model.eval()
    pictures, rows = encode_pictures(model, gallery)
    return score_rows(pictures, rows, encode_captions(model, gallery, side), gallery.split)
