"""Recall of a model on a split, in memory and unpruned: what picks the best checkpoint, and what a card reports."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from lexlip_es.evaluation import Recall, ranks
from lexlip_es.images import PictureError
from lexlip_training.batches import pad_hidden
from lexlip_training.data import PictureSource, Pieces, Split
from lexlip_training.losses import Gather, gather_alone, unit

TextSide = Literal["bag", "tower"]
Model = Any  # a `LexLip` or a `DenseTwin`


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


def _share(count: int, gather: Gather) -> range:
    """The rows that this process encodes: each process every n-th."""
    if gather is gather_alone:
        return range(count)
    return range(dist.get_rank(), count, dist.get_world_size())


def _in_order(encoded: Tensor, places: Tensor, gather: Gather, device: torch.device) -> tuple[Tensor, Tensor]:
    """What all processes encoded, each row once, in the order of `places`, on the CPU."""
    if gather is gather_alone:
        return encoded, places
    everyone, where = gather(encoded.to(device)).cpu(), gather(places.to(device)).cpu()
    order = torch.argsort(where)
    return everyone[order], where[order]


@torch.no_grad()
def encode_pictures(model: Model, gallery: Gallery, batch: int = 64, gather: Gather = gather_alone) -> tuple[Tensor, list[int]]:
    """Raw lexicon weights (P, A) of the split's readable pictures, and their rows; the plain view of each.

    Several processes share the work and all get the whole, unique gallery.
    """
    device = model.mean.device
    outputs, rows = [model.picture_weights(gallery.pictures.blank()[None].to(device)).float().cpu()[:0]], []
    own = _share(len(gallery.split), gather)
    for start in range(0, len(own), batch):
        pictures = []
        for row in own[start : start + batch]:
            try:
                pictures.append(gallery.pictures.get(row, None))
                rows.append(row)
            except PictureError:
                continue
        if pictures:
            outputs.append(model.picture_weights(torch.stack(pictures).to(device)).float().cpu())
    weights, places = _in_order(torch.cat(outputs), torch.tensor(rows, dtype=torch.int64), gather, device)
    return weights, places.tolist()


@torch.no_grad()
def encode_captions(model: Model, gallery: Gallery, side: TextSide, batch: int = 128, gather: Gather = gather_alone) -> Tensor:
    """Raw lexicon weights (T, A) of all captions of the split, in order."""
    device = model.mean.device
    pieces = gallery.pieces
    by_length = np.argsort(np.diff(pieces.offsets), kind="stable")
    by_length = by_length[list(_share(len(by_length), gather))]
    outputs = []
    for start in range(0, len(by_length), batch):
        chosen = by_length[start : start + batch]
        ids, mask = (tensor.to(device) for tensor in pieces.padded(chosen))
        if side == "bag":
            found = model.bag_weights(ids)
        else:
            below = None if gallery.below is None else pad_hidden(gallery.below, pieces, chosen, ids.shape[1]).to(device)
            found = model.text_weights(ids, mask, below)
        outputs.append(found.float().cpu())
    order = torch.from_numpy(by_length)
    if gather is gather_alone:
        weights = torch.empty(len(pieces), outputs[0].shape[1])
        weights[order] = torch.cat(outputs)
        return weights
    return _in_order(torch.cat(outputs), order, gather, device)[0]


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


def validate(model: Model, gallery: Gallery, side: TextSide, gather: Gather = gather_alone) -> Scores:
    """Encode a split and score it; the model is put in evaluation mode and left there."""
    model.eval()
    pictures, rows = encode_pictures(model, gallery, gather=gather)
    return score_rows(pictures, rows, encode_captions(model, gallery, side, gather=gather), gallery.split)
