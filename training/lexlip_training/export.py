"""ONNX files of the two towers, and smaller ones by weight-only quantisation.

Inside the graphs: normalisation, towers, heads, pooling, top-k, and vocabulary ids as terms. Only weights are ever quantised:
an int8 matrix is followed by Cast and Mul, which ONNX Runtime folds into floats when it opens the file, so a picture's weights
never depend on what else is in its batch (dynamic quantisation takes one activation scale a batch, and so would make them).
"""

import tempfile
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from lexlip_training.head import lexicon_weights
from lexlip_training.lexlip import LexLip

Precision = Literal["fp32", "fp16 weights", "int8 weights"]
OPSET = 17
MAX_TERMS = 256
TOLERANCE = 1e-4  # between torch and a fp32 graph
_SMALL = 16_384  # tensors below this many elements stay fp32: they weigh little and are often the touchiest


class PictureGraph(nn.Module):
    """pixels uint8 (B, S, S, 3) -> terms int64 (B, K), weights float32 (B, K), descending; zero weights are padding."""

    def __init__(self, model: LexLip) -> None:
        """Wrap a model in evaluation mode."""
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        weights = self.model.picture_weights(pixels)  # (B, A)
        heaviest, places = torch.topk(weights, min(MAX_TERMS, weights.shape[1]), dim=1)
        return self.model.active[places], heaviest


class TextGraph(nn.Module):
    """ids, mask int64 (B, L) -> terms int64, weights float32, origins int64, all (B, K)."""

    def __init__(self, model: LexLip) -> None:
        """Wrap a model in evaluation mode."""
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        logits, origins = self.model.text_logits(ids, mask > 0)
        weights = lexicon_weights(logits)  # (B, A)
        heaviest, places = torch.topk(weights, min(MAX_TERMS, weights.shape[1]), dim=1)
        return self.model.active[places], heaviest, origins.to(torch.int64).gather(1, places)


def picture_onnx(model: LexLip, size: int) -> onnx.ModelProto:
    """`pictures.onnx` in fp32 for pictures of (size, size, 3)."""
    pixels = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    axes = {name: {0: "batch"} for name in ("pixels", "terms", "weights")}
    return _export(PictureGraph(model), (pixels,), ["pixels"], ["terms", "weights"], axes)


def text_onnx(model: LexLip) -> onnx.ModelProto:
    """`texts.onnx` in fp32."""
    ids = torch.tensor([[101, 1996, 3899, 102]]).clamp(max=model.architecture.vocabulary - 1)
    axes = {name: {0: "batch", 1: "length"} for name in ("ids", "mask")}
    axes |= {name: {0: "batch"} for name in ("terms", "weights", "origins")}
    return _export(TextGraph(model), (ids, torch.ones_like(ids)), ["ids", "mask"], ["terms", "weights", "origins"], axes)


def _export(
    graph: nn.Module, inputs: tuple[Tensor, ...], input_names: list[str], output_names: list[str], axes: dict[str, Any]
) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer comments on every shape that it takes for constant
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            graph.eval(),
            inputs,
            path,
            input_names=input_names,
            output_names=output_names,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
        return onnx.load(path)


def shrink(model: onnx.ModelProto, precision: Precision) -> onnx.ModelProto:
    """A copy with smaller weights: fp16 followed by Cast, or int8 per channel followed by Cast and Mul; "fp32" is a plain copy.

    Small tensors and depthwise convolutions stay fp32.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if precision == "fp32":
        return copy
    depthwise = {
        node.input[1]
        for node in copy.graph.node
        if node.op_type == "Conv" and any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
    }
    kept, decoders = [], []
    for tensor in copy.graph.initializer:
        size = int(np.prod(tensor.dims))
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2 or size < _SMALL or tensor.name in depthwise:
            kept.append(tensor)
            continue
        weights = numpy_helper.to_array(tensor)
        parts, nodes = _half(tensor.name, weights) if precision == "fp16 weights" else _int8(tensor.name, weights)
        kept += parts
        decoders += nodes
    nodes = [*decoders, *copy.graph.node]
    del copy.graph.initializer[:], copy.graph.node[:]
    copy.graph.initializer.extend(kept)
    copy.graph.node.extend(nodes)
    onnx.checker.check_model(copy)
    return copy


def _half(name: str, weights: NDArray[np.float32]) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    stored = numpy_helper.from_array(weights.astype(np.float16), f"{name}.fp16")
    return [stored], [helper.make_node("Cast", [stored.name], [name], to=TensorProto.FLOAT)]


def _int8(name: str, weights: NDArray[np.float32]) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    quantised, scale = quantise(weights)
    stored, factor = numpy_helper.from_array(quantised, f"{name}.int8"), numpy_helper.from_array(scale, f"{name}.scale")
    return [stored, factor], [
        helper.make_node("Cast", [stored.name], [f"{name}.cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}.cast", factor.name], [name]),
    ]


def quantise(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 with one scale a channel: weights ~ int8 x scale, scale broadcast along all axes but one.

    Channels are the first axis of a convolution, and of a matrix the axis that loses less.
    """
    axes = (0,) if weights.ndim > 2 else (0, weights.ndim - 1)
    best: tuple[float, NDArray[np.int8], NDArray[np.float32]] | None = None
    for axis in axes:
        others = tuple(i for i in range(weights.ndim) if i != axis)
        scale = (np.abs(weights).max(axis=others, keepdims=True) / 127).astype(np.float32)
        scale[scale == 0] = 1.0
        rounded = np.clip(np.rint(weights / scale), -127, 127).astype(np.int8)
        error = float(np.square(rounded * scale - weights).mean())
        if best is None or error < best[0]:
            best = (error, rounded, scale)
    assert best is not None
    return best[1], best[2]


def disagreement(
    graph: onnx.ModelProto, feeds: dict[str, NDArray[Any]], expected: NDArray[np.float32], active: NDArray[np.int64]
) -> float:
    """The largest difference between a graph's weights and torch's, expected (B, A), over the terms that the graph names.

    Infinite if a term that torch ranks clearly (by more than 1e-4) among a row's 32 heaviest is not among the graph's.
    """
    import onnxruntime

    terms, weights = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)[
        :2
    ]
    worst = 0.0
    for row, wanted in enumerate(expected):
        places = np.searchsorted(active, terms[row])  # active ids ascend
        worst = max(worst, float(np.abs(wanted[places] - weights[row]).max()))
        limit = np.sort(wanted)[-min(33, len(wanted))]
        if not set(np.flatnonzero(wanted > limit + TOLERANCE)) <= set(places[:32].tolist()):
            return float("inf")
    return worst


def save(model: onnx.ModelProto, path: Path) -> int:
    """Write an ONNX file and return its size in bytes."""
    data = model.SerializeToString()
    path.write_bytes(data)
    return len(data)
