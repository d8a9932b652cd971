"""Real pictures and their captions as a collection: encoded once by both sides, and kept in a folder.

Pictures with captions come first, each caption a query; others are photographs that nobody asks for. What was encoded is kept by
the model and the files' content, some thousand pictures a file, so that a run that was cut off goes on, and more pictures cost
only themselves.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.options import captioned_pictures
from benchmarks.versus.collection import Collection
from benchmarks.versus.dense_encoders import DenseEncoder, lift, load_dense, random_vectors
from lexlip_es.batches import batched
from lexlip_es.captions import read_names
from lexlip_es.encoders import TextSide, load_encoder
from lexlip_es.engines.node.places import Places
from lexlip_es.entries import Found
from lexlip_es.evaluating import CaptionedPictures, encode_pictures, read_captioned_pictures
from lexlip_es.finding import find_pictures
from lexlip_es.images import open_picture
from lexlip_es.model_folder import ModelFolder, file_sha256, open_model
from lexlip_es.weights import SparseWeights

_IN_FILE = 2_000  # pictures
_DENSE_BATCH = 32
Arrays = Mapping[str, NDArray[Any]]
Folder = tuple[Path, Sequence[str]]
"""A folder and the names in it of the pictures that are meant."""


@dataclass(frozen=True)
class Cache:
    """What was encoded, as .npz files in a folder; `report` is told before something is encoded."""

    folder: Path
    report: Callable[[str], None] = lambda _: None

    def get(self, what: str, facts: object, make: Callable[[], Arrays]) -> Arrays:
        """The arrays that were kept for these facts (JSON), made if there are none."""
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
        path = self.folder / f"{what}-{digest}.npz"
        if not path.is_file():
            self.report(f"encoding {what}")
            self.folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(f".{os.getpid()}.partial.npz")
            np.savez(unfinished, **make())
            os.replace(unfinished, path)
        with np.load(path) as kept:
            return dict(kept)

    def pictures(self, what: str, identity: object, folder: Folder, encode: Callable[[list[str]], Arrays]) -> list[Arrays]:
        """`get` for some of the pictures after others: `encode` is given names, `identity` is what encodes."""
        root, names = folder
        parts = []
        for some in batched(names, _IN_FILE):
            contents = [file_sha256(root / name) for name in some]
            parts.append(self.get(what, [identity, contents], partial(encode, some)))
        return parts


def collection_options(about: str | None) -> argparse.ArgumentParser:
    """A parser with the options that `collection_of` reads; `about` is the script's own docstring."""
    parser = captioned_pictures(about)
    parser.add_argument("--dense", help="a dense twin's checkpoint, or a CLIP model's folder or name on the hub; else random")
    others = "a folder of pictures that nobody asks for, or those of them that the files list, one name a line; may be repeated"
    parser.add_argument("--others", type=Path, nargs="+", action="append", default=[], metavar=("DIR", "FILE"), help=others)
    parser.add_argument("--cache", type=Path, help="where to keep what was encoded")
    return parser


def collection_of(options: argparse.Namespace) -> Collection:
    """The real pictures that the options name; what is encoded, and how many listed ones are missing, is said on stderr."""

    def report(said: str) -> None:
        print(said, file=sys.stderr, flush=True)

    given = [(options.images, options.files), *options.others]
    return read_collection(
        " + ".join(lists[0].stem if lists else root.parent.name for root, *lists in given),
        read_captioned_pictures(options.images, options.captions, options.files),
        open_model(options.model),
        load_dense(options.dense) if options.dense else None,
        Cache(options.cache or Places.find(os.environ).cache / "versus", report),
        [listed_pictures(root, lists, report) if lists else all_pictures(root) for root, *lists in options.others],
    )


def listed_pictures(root: Path, lists: Sequence[Path], report: Callable[[str], None]) -> Folder:
    """The pictures in the folder that the files list; `report` is told how many are missing."""
    names = list(dict.fromkeys(name for path in lists for name in read_names(path)))
    there = [name for name in names if (root / name).is_file()]
    if len(there) < len(names):
        report(f"{len(names) - len(there)} of {len(names)} listed pictures are not in {root}")
    return root, there


def all_pictures(root: Path) -> Folder:
    """Every picture under the folder, in the order of their names."""
    return root, sorted(os.fsdecode(found.relative) for found in find_pictures(root) if isinstance(found, Found))


def read_collection(
    label: str,
    data: CaptionedPictures,
    model: ModelFolder,
    dense: DenseEncoder | None,
    cache: Cache,
    others: Sequence[Folder] = (),
) -> Collection:
    """The pictures with captions and the others, by both sides; without a dense model the dense vectors are random.

    Raises `LexlipError` for an unreadable picture, since a measure must not leave it out.
    """
    folders = [(data.root, data.names), *others]
    texts = [text.text for text in data.texts]
    pictures = SparseWeights.concat([_sparse_pictures(model, folder, cache) for folder in folders])
    if dense is None:
        vectors, queries = random_vectors(len(pictures), 0), random_vectors(len(texts), 1)
    else:
        vectors = lift(np.concatenate([_dense_pictures(dense, folder, cache) for folder in folders]))
        queries = lift(_dense_texts(dense, texts, cache))
    return Collection(
        label=label,
        lexicon=model.lexicon,
        pictures=pictures,
        dense=vectors,
        origin=dense.origin if dense else "random",
        real=len(pictures),
        texts=tuple(texts),
        table_queries=_sparse_texts(model, "table", texts, cache),
        tower_queries=_sparse_texts(model, "tower", texts, cache),
        dense_queries=queries,
        gold=np.array(data.gold, np.int64),
    )


def _packed(weights: SparseWeights) -> Arrays:
    return {"indptr": weights.indptr, "terms": weights.terms, "weights": weights.weights}


def _identity(model: ModelFolder) -> object:
    return [model.identity, model.config["files"]]  # an export of another precision answers a little otherwise


def _sparse_pictures(model: ModelFolder, folder: Folder, cache: Cache) -> SparseWeights:
    encoder = load_encoder(model)

    def encode(names: list[str]) -> Arrays:
        return _packed(encode_pictures(encoder, folder[0], names, lambda: None))

    parts = cache.pictures("sparse-pictures", _identity(model), folder, encode)
    return SparseWeights.concat([SparseWeights(**arrays) for arrays in parts])


def _sparse_texts(model: ModelFolder, side: TextSide, texts: Sequence[str], cache: Cache) -> SparseWeights:
    encoder = load_encoder(model, text=side)
    arrays = cache.get(f"sparse-{side}", [_identity(model), texts], lambda: _packed(encoder.encode_texts(texts)))
    return SparseWeights(**arrays)


def _dense_pictures(dense: DenseEncoder, folder: Folder, cache: Cache) -> NDArray[np.float32]:
    def encode(names: list[str]) -> Arrays:
        pixels = (open_picture(folder[0] / name, dense.spec).pixels for name in names)
        return {"vectors": np.concatenate([dense.encode_pictures(batch) for batch in batched(pixels, _DENSE_BATCH)])}

    return np.concatenate([arrays["vectors"] for arrays in cache.pictures("dense-pictures", dense.identity, folder, encode)])


def _dense_texts(dense: DenseEncoder, texts: Sequence[str], cache: Cache) -> NDArray[np.float32]:
    def encode() -> Arrays:
        return {"vectors": np.concatenate([dense.encode_texts(batch) for batch in batched(texts, _DENSE_BATCH)])}

    return cache.get("dense-texts", [dense.identity, texts], encode)["vectors"]
