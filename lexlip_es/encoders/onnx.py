"""The towers in ONNX Runtime on the CPU.

Each picture and each text is a run of its own: matrix kernels may round differently for another number of rows, and a document's
weights must not depend on its neighbours (design contract 1). Speed comes from running several at once, one thread each.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lexlip_es.encoders.tokens import open_tokenizer, token_ids
from lexlip_es.errors import LexlipError
from lexlip_es.machine import cpus
from lexlip_es.model_folder import ModelFolder
from lexlip_es.weights import SparseWeights


def _session(path: Path) -> Any:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a type for each kind of failure
        raise LexlipError(f"{path} cannot be opened by ONNX Runtime: pack the model again with lexlip-es pack.") from error


class _Parallel:
    """A graph, opened when it is first run: a nightly run in which nothing has changed never needs it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(cpus(), "encode")

    @cached_property
    def _session(self) -> Any:
        return _session(self._path)

    def run(self, feeds: Sequence[dict[str, np.ndarray[Any, Any]]]) -> list[list[np.ndarray[Any, Any]]]:
        session = self._session
        return list(self._pool.map(lambda feed: session.run(None, feed), feeds))


class OnnxPictureEncoder:
    """`pictures.onnx`: input `pixels` uint8 (1, S, S, 3) RGB; outputs `terms` int64 (1, K), `weights` float32 (1, K)."""

    def __init__(self, path: Path) -> None:
        """A damaged file raises `LexlipError` when it is first used."""
        self._onnx = _Parallel(path)
        self.batch_size = max(16, 4 * cpus())

    def encode_pictures(self, pixels: Sequence[np.ndarray[Any, Any]]) -> SparseWeights:
        """Weights of B pictures."""
        outputs = self._onnx.run([{"pixels": picture[None]} for picture in pixels])
        return SparseWeights.from_rows([(terms[0], weights[0]) for terms, weights in outputs])


class OnnxTextEncoder:
    """`texts.onnx`: inputs `ids` and `mask` int64 (1, L); outputs `terms`, `weights`, `origins` (1, K)."""

    def __init__(self, path: Path, model: ModelFolder) -> None:
        """Open the tokenizer; a damaged graph raises `LexlipError` when it is first used."""
        self._onnx, self.tokenizer = _Parallel(path), open_tokenizer(model)

    def encode_texts(self, texts: Sequence[str]) -> SparseWeights:
        """Weights of B texts with the winning token positions."""
        ids = [np.array([row], dtype=np.int64) for row in token_ids(self.tokenizer, texts)]  # (1, L) each
        outputs = self._onnx.run([{"ids": row, "mask": np.ones_like(row)} for row in ids])
        return SparseWeights.from_rows(
            [(terms[0], weights[0]) for terms, weights, _ in outputs], [origins[0] for _, _, origins in outputs]
        )
