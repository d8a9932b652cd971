"""A small working model folder, made on the spot, for tests that need another model than the starter: its terms are colours."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.numpy import save_file

from lexlip_es.model_folder import ModelFolder, file_sha256, model_identity, starter_path

COLOURS = ("red", "green", "blue")
_SIZE = 8


def paint_colours(folder: Path) -> Path:
    """A picture of each colour, `red.png` and so on, in the folder."""
    for colour in COLOURS:
        Image.new("RGB", (20, 10), colour).save(folder / f"{colour}.png")
    return folder


def make_model(folder: Path, *, name: str = "colours", seed: str = "0") -> ModelFolder:
    """Pictures answer with the colours that they hold, texts with those that they name; `seed` only changes the identity."""
    folder.mkdir(parents=True)
    shutil.copy(starter_path() / "tokenizer.json", folder / "tokenizer.json")
    starter = ModelFolder.open(starter_path())
    lexicon = starter.lexicon
    terms = np.array([lexicon.piece_id(colour) for colour in COLOURS], np.int64)
    _write_onnx(folder / "pictures.onnx", terms)
    _write_table(folder / "query_table.safetensors", terms, len(lexicon))
    config = {
        "format": 1,
        "name": name,
        "vocabulary_hash": lexicon.hash,
        "picture": {"size": _SIZE, "resize": "squash", "interpolation": "bilinear", "mean": [0.0] * 3, "std": [1.0] * 3},
        "text": {"max_tokens": 40},
        "architecture": {"made": True},
        "pruning": {"picture_terms": 3, "query_terms": 3},
        "normalise": "l2",
        "files": {
            "pictures": {"name": "pictures.onnx", "sha256": file_sha256(folder / "pictures.onnx"), "precision": "fp32"},
            "table": {"name": "query_table.safetensors", "sha256": file_sha256(folder / "query_table.safetensors")},
        },
        "provenance": {},
    }
    config["identity"] = model_identity(config, seed, lexicon.hash)
    (folder / "config.json").write_text(json.dumps(config))
    return ModelFolder.open(folder)


def _write_onnx(path: Path, terms: np.ndarray) -> None:
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["means"], axes=[1, 2], keepdims=0),  # (B, 3)
        helper.make_node("TopK", ["means", "k"], ["weights", "places"]),
        helper.make_node("Gather", ["ids", "places"], ["terms"]),
    ]
    constants = [numpy_helper.from_array(np.array([3]), "k"), numpy_helper.from_array(terms, "ids")]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["B", _SIZE, _SIZE, 3])],
        [
            helper.make_tensor_value_info("terms", TensorProto.INT64, ["B", 3]),
            helper.make_tensor_value_info("weights", TensorProto.FLOAT, ["B", 3]),
        ],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def _write_table(path: Path, terms: np.ndarray, vocabulary: int) -> None:
    indptr = np.zeros(vocabulary + 1, np.int64)
    for term in terms:
        indptr[term + 1 :] += 1
    save_file({"indptr": indptr, "terms": np.sort(terms).astype(np.int32), "weights": np.ones(3, np.float32)}, path)
