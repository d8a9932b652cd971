"""What frozen prefixes give, computed once and kept as float16 memory maps.

The frozen part of a tower is nine tenths of its work and always gives the same. A cache's file name carries a digest of all that
decides its content (frozen weights, preprocessing, augmentation, file names), so a changed recipe never meets a stale cache.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexlip_es.images import PictureError, PictureSpec, open_picture
from lexlip_training.data import Pieces, Split
from lexlip_training.recipe import AugmentRecipe
from lexlip_training.views import random_view

Report = Callable[[str], None]
_BATCH = 16


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class CachedView:
    """The prefix's outputs for one view of a split, float16 (P, ...), and the names of pictures that cannot be read."""

    features: NDArray[np.float16]
    unreadable: tuple[str, ...]


def cache_view(
    prefix: Callable[[Tensor], Tensor], prefix_digest: str, split: Split, spec: PictureSpec, augment: AugmentRecipe, view: int, *,
    folder: Path, seed: int, report: Report,
) -> CachedView:  # fmt: skip
    """Open or make the cache of view 0 (plain) or 1.. (random crops). `prefix` maps uint8 (B, S, S, 3) to (B, ...)."""
    facts = [prefix_digest, asdict(spec), [augment.min_area, augment.max_stretch, seed] if view else None, view, split.files]
    stem = folder / f"{split.name}-view{view}-{_digest(facts)}"
    features_path, notes_path = stem.with_suffix(".npy"), stem.with_suffix(".json")
    if not notes_path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        partial = stem.with_suffix(f".{os.getpid()}.partial.npy")
        unreadable = _write_view(prefix, split, spec, augment, view, partial, seed, report)
        os.replace(partial, features_path)
        notes_path.write_text(json.dumps({"unreadable": unreadable}), encoding="utf-8")  # last: it says that the cache is whole
    notes = json.loads(notes_path.read_text(encoding="utf-8"))
    return CachedView(np.load(features_path, mmap_mode="r"), tuple(notes["unreadable"]))


def _write_view(
    prefix: Callable[[Tensor], Tensor], split: Split, spec: PictureSpec, augment: AugmentRecipe, view: int, path: Path, seed: int,
    report: Report,
) -> list[str]:  # fmt: skip
    features: NDArray[np.float16] | None = None
    unreadable = []
    for start in range(0, len(split), _BATCH):
        batch = []
        for row in range(start, min(start + _BATCH, len(split))):
            try:
                pixels = open_picture(split.picture(row), spec).pixels
            except PictureError:
                unreadable.append(split.files[row])
                pixels = np.zeros((spec.size, spec.size, 3), np.uint8)  # keeps the rows in step; the trainer leaves it out
            if view:
                pixels = random_view(pixels, augment, spec.size, np.random.default_rng((seed, view, row)))
            batch.append(pixels)
        with torch.inference_mode():
            outputs = prefix(torch.from_numpy(np.stack(batch))).cpu().numpy()
        if features is None:
            features = np.lib.format.open_memmap(path, "w+", np.float16, (len(split), *outputs.shape[1:]))
        features[start : start + len(batch)] = outputs
        if start % (_BATCH * 32) == 0:
            report(f"caching {split.name} view {view}: {start} of {len(split)} pictures")
    assert features is not None  # a split is never empty
    features.flush()  # type: ignore[attr-defined]
    return unreadable


def cache_captions(
    prefix: Callable[[Tensor, Tensor], Tensor],
    prefix_digest: str,
    pieces: Pieces,
    *,
    folder: Path,
    name: str,
    report: Report,
) -> NDArray[np.float16]:
    """Open or make the text prefix's outputs for all tokens of `pieces`: float16 (tokens, D), flat as `Pieces.ids`."""
    ids_digest = hashlib.sha256(pieces.ids.tobytes() + pieces.offsets.tobytes()).hexdigest()
    path = folder / f"{name}-captions-{_digest([prefix_digest, ids_digest])}.npy"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial.npy")
        hidden: NDArray[np.float16] | None = None
        by_length = np.argsort(np.diff(pieces.offsets), kind="stable")  # batches of like length need no padding
        for start in range(0, len(pieces), 256):
            chosen = by_length[start : start + 256]
            ids, mask = pieces.padded(chosen)
            with torch.inference_mode():
                outputs = prefix(ids, mask).cpu().numpy()  # (n, L, D)
            if hidden is None:
                hidden = np.lib.format.open_memmap(partial, "w+", np.float16, (len(pieces.ids), outputs.shape[2]))
            for row, caption in zip(outputs, chosen, strict=True):
                first, end = pieces.offsets[caption], pieces.offsets[caption + 1]
                hidden[first:end] = row[: end - first]
            if start % (256 * 20) == 0:
                report(f"caching {name} captions: {start} of {len(pieces)}")
        assert hidden is not None
        hidden.flush()  # type: ignore[attr-defined]
        os.replace(partial, path)
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


class CachedPictures:
    """A `PictureSource` of cached views: view 0 where no random one is asked for, else one of the random crops."""

    def __init__(self, views: Sequence[CachedView], rows: NDArray[np.int64]) -> None:
        """`rows` (P,) maps the split's rows, after the unreadable pictures were left out, to the cache's."""
        self.views, self.rows = list(views), rows

    def get(self, row: int, rng: np.random.Generator | None) -> Tensor:
        """See `PictureSource`."""
        view = 0 if rng is None or len(self.views) == 1 else int(rng.integers(1, len(self.views)))
        return torch.from_numpy(np.array(self.views[view].features[self.rows[row]]))

    def blank(self) -> Tensor:
        """See `PictureSource`."""
        return torch.zeros(self.views[0].features.shape[1:], dtype=torch.float16)

    def plain(self) -> NDArray[np.float16]:
        """The plain view of all rows, for locked phases and evaluation."""
        return self.views[0].features[self.rows]
