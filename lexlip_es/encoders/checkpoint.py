"""The towers in torch, from a checkpoint's `model.safetensors`: on a GPU where there is one. Needs the `train` extra.

Matrix kernels may round differently for another batch size, and a document's weights must not depend on its neighbours, so every
batch has the same size: one on the CPU, a full one on a GPU, where the last is filled up with blank pictures.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lexlip_es.encoders.tokens import open_tokenizer, token_ids
from lexlip_es.errors import LexlipError
from lexlip_es.extras import require_extra
from lexlip_es.machine import gpu
from lexlip_es.model_folder import ModelFolder
from lexlip_es.weights import SparseWeights

if TYPE_CHECKING:
    from torch import Tensor

_GPU_BATCH = 64


class CheckpointEncoder:
    """Both sides of a checkpoint; texts go through its text tower."""

    def __init__(self, model: ModelFolder, device: str | None = None) -> None:
        """Load the weights onto `device`; raises `LexlipError` without torch or weights.

        By default that is a GPU where there is one; of several, the one that a launcher has meant for this process.
        """
        if not model.has_checkpoint:  # asked here too, since importing torch takes seconds
            raise LexlipError(
                f"model {model.label} was packed for inference and has no model.safetensors: name its checkpoint with --model."
            )
        require_extra("train", "torch", "timm", "transformers")
        import torch

        from lexlip_training.checkpoint import load_checkpoint

        graphics = f"cuda:{gpu(torch.cuda.device_count(), os.environ)}" if torch.cuda.is_available() else None
        self._device = torch.device(device or graphics or "cpu")
        self._model = load_checkpoint(model.path).to(self._device)
        self._active = self._model.active.cpu().numpy()  # (A,) vocabulary ids of the model's terms
        self.tokenizer = open_tokenizer(model)
        self._batch = 1 if self._device.type == "cpu" else _GPU_BATCH
        self.batch_size = max(16, self._batch)

    def encode_pictures(self, pixels: Sequence[np.ndarray[Any, Any]]) -> SparseWeights:
        """Weights of B pictures."""
        import torch

        rows = []
        for start in range(0, len(pixels), self._batch):
            stacked = np.stack(pixels[start : start + self._batch])  # (b, S, S, 3)
            blank = np.zeros((self._batch - len(stacked), *stacked.shape[1:]), np.uint8)
            batch = torch.from_numpy(np.concatenate([stacked, blank])).to(self._device)
            with torch.inference_mode():
                weights = self._model.picture_weights(batch).float().cpu().numpy()  # (batch, A)
            rows += [self._row(row) for row in weights[: len(stacked)]]
        return SparseWeights.from_rows(rows)

    def encode_texts(self, texts: Sequence[str]) -> SparseWeights:
        """Weights of B texts with the winning token positions."""
        import torch

        from lexlip_training.head import lexicon_weights

        rows, origins = [], []
        for ids in token_ids(self.tokenizer, texts):
            batch = torch.tensor([ids], device=self._device)  # (1, L)
            with torch.inference_mode():
                logits, where = self._model.text_logits(batch, torch.ones_like(batch, dtype=torch.bool))
                weights: Tensor = lexicon_weights(logits)  # (1, A)
            row = weights[0].float().cpu().numpy()
            rows.append(self._row(row))
            origins.append(where[0].cpu().numpy()[row > 0])
        return SparseWeights.from_rows(rows, origins)

    def _row(self, weights: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        spoken = weights > 0
        return self._active[spoken], weights[spoken]
