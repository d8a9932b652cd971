"""Who makes the dense vectors: CLIP through transformers, or the dense twin of the sparse model, a checkpoint of ours.

Vectors of fewer than 512 numbers are lifted to 512 by a fixed map that changes no inner product (`lift`): what such vectors find
is then the twin's, and what they cost is CLIP's.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.versus.collection import DENSE_DIM, Origin
from lexlip_es.encoders.tokens import open_tokenizer, token_ids
from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureSpec
from lexlip_es.model_folder import ModelFolder
from lexlip_es.pixels import Pixels

Vectors = NDArray[np.float32]


class DenseEncoder(Protocol):
    """Both sides of a dense model; `identity` changes with its weights, `spec` is how it wants to see pictures."""

    origin: Origin
    identity: str
    spec: PictureSpec

    def encode_pictures(self, pixels: Sequence[Pixels]) -> Vectors:
        """(B, d) of norm 1."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """(B, d) of norm 1."""
        ...


def load_dense(where: str) -> DenseEncoder:
    """The dense twin in a checkpoint folder, or a CLIP model in a folder or on the Hugging Face hub. Raises `LexlipError`."""
    config = Path(where) / "config.json"
    return Twin(Path(where)) if config.is_file() and '"vocabulary_hash"' in config.read_text(encoding="utf-8") else Clip(where)


def lift(vectors: Vectors) -> Vectors:
    """(B, d) -> (B, 512) with the same inner products: a fixed random map with orthonormal columns."""
    dim = vectors.shape[1]
    if dim > DENSE_DIM:
        raise LexlipError(f"dense vectors of {dim} numbers do not fit into {DENSE_DIM}: use a model of at most {DENSE_DIM}.")
    if dim == DENSE_DIM:
        return vectors
    columns, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((DENSE_DIM, dim)))
    return (vectors @ columns.T.astype(np.float32)).astype(np.float32)


def random_vectors(count: int, seed: int) -> Vectors:
    """(count, 512) of norm 1, for times and bytes alone."""
    return unit(np.random.default_rng(seed).standard_normal((count, DENSE_DIM), np.float32))


def unit(vectors: Vectors) -> Vectors:
    """Rows of norm 1; a row of zeros stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, np.float32(1e-12)), np.float32)


class Twin:
    """`kind = dense`: the same towers and training data as the sparse model, one vector a side."""

    origin: Origin = "dense twin"

    def __init__(self, folder: Path) -> None:
        """Load it; raises `LexlipError` for a folder that holds no dense twin."""
        from lexlip_training.checkpoint import load_any
        from lexlip_training.dense import DenseTwin

        model = load_any(folder)
        if not isinstance(model, DenseTwin):
            raise LexlipError(f"{folder} holds no dense twin: train one with kind = dense, or name a CLIP model.")
        opened = ModelFolder.open(folder)
        self.identity, self.spec = opened.identity, opened.picture_spec
        self._model, self._tokenizer = model, open_tokenizer(opened)

    def encode_pictures(self, pixels: Sequence[Pixels]) -> Vectors:
        """(B, d) of norm 1."""
        import torch

        with torch.inference_mode():
            return _array(self._model.picture_weights(torch.from_numpy(np.stack(pixels))))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """(B, d) of norm 1; one at a time, since padding may round otherwise."""
        import torch

        rows = []
        for ids in token_ids(self._tokenizer, texts):
            batch = torch.tensor([ids])  # (1, L)
            with torch.inference_mode():
                rows.append(_array(self._model.text_weights(batch, torch.ones_like(batch, dtype=torch.bool))))
        return np.concatenate(rows)


class Clip:
    """A CLIP model as transformers loads it; pictures are prepared as CLIP's were: shorter side, centre, its own mean."""

    origin: Origin = "CLIP"

    def __init__(self, where: str) -> None:
        """A folder or a name on the hub; raises `LexlipError` if transformers cannot load it."""
        from transformers import AutoTokenizer, CLIPModel

        try:
            self._model: Any = CLIPModel.from_pretrained(where).eval()
            self._tokenizer: Any = AutoTokenizer.from_pretrained(where)
        except (OSError, ValueError) as error:
            raise LexlipError(f"{where} is no CLIP model that transformers can load: {str(error).splitlines()[0]}") from error
        self.identity = f"{where} {getattr(self._model.config, '_commit_hash', None) or ''}".strip()
        self.spec = PictureSpec(self._model.config.vision_config.image_size, "crop", "bicubic")

    def encode_pictures(self, pixels: Sequence[Pixels]) -> Vectors:
        """(B, d) of norm 1."""
        import torch
        from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

        mean, std = (np.array(of, np.float32) for of in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
        scaled = (np.stack(pixels) / np.float32(255) - mean) / std  # (B, S, S, 3)
        with torch.inference_mode():
            seen = self._model.vision_model(torch.from_numpy(scaled).permute(0, 3, 1, 2)).pooler_output
            return unit(_array(self._model.visual_projection(seen)))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """(B, d) of norm 1; texts are cut at the model's length."""
        import torch

        most = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(list(texts), padding=True, truncation=True, max_length=most, return_tensors="pt")
        with torch.inference_mode():
            read = self._model.text_model(tokens["input_ids"], attention_mask=tokens["attention_mask"]).pooler_output
            return unit(_array(self._model.text_projection(read)))


def _array(tensor: Any) -> Vectors:
    found: Vectors = tensor.float().cpu().numpy()
    return found
