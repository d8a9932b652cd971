"""A made folder of pictures and a small made model for it, for measurements that need no data: both follow from a seed alone."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from lexlip_es.model_folder import ModelFolder, file_sha256, model_identity
from tests.made_model import make_model

SIDES = (400, 300)  # pixels: so that decoding 2,000 takes some seconds
MODIFIED = 1_700_000_000  # Unix seconds
_SIZE, _CHANNELS, _TERMS, _KEPT = 96, (32, 64), 600, 64
_BAD = (b"", b"I am no picture", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00")


def make_pictures(folder: Path, number: int, seed: int = 0) -> Path:
    """Write `number` files into a new folder, in folders of a hundred: of 50, one is bad, three are copies, one nearly a copy.

    Copies lie in other folders than what they are copies of. A folder that is complete already is left as it is.
    """
    mark = folder.with_name(f"{folder.name}.complete")
    wanted = json.dumps([number, seed, SIDES])
    if mark.exists() and mark.read_text() == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    rng = np.random.default_rng(seed)
    plain: list[Path] = []
    for i in range(number):
        path = folder / f"{i // 100:03}" / f"{i:05}{'.png' if i % 8 == 3 else '.jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        kind, earlier = i % 50, plain[int(rng.integers(len(plain)))] if plain else None
        if kind == 7:
            path.write_bytes(_BAD[i // 50 % len(_BAD)])
        elif kind in (17, 27, 37) and earlier is not None:
            shutil.copyfile(earlier, path)
        elif kind == 47 and earlier is not None:
            Image.open(earlier).convert("RGB").save(path, quality=60)
        else:
            _paint(rng, path, i)
            plain.append(path)
        os.utime(path, (MODIFIED + i, MODIFIED + i))
    mark.write_text(wanted)
    return folder


def _paint(rng: np.random.Generator, path: Path, i: int) -> None:
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(SIDES, Image.Resampling.BICUBIC)
    grain = Image.fromarray(rng.integers(0, 256, (75, 100, 3), np.uint8)).resize(SIDES, Image.Resampling.NEAREST)
    picture = Image.blend(coarse, grain, 0.15)
    exif = picture.getexif()
    if i % 3 == 0:
        exif[0x0110] = f"Made {i % 5}"  # the camera's model
    picture.save(path, exif=exif, quality=88, compress_level=1)


def make_small_model(folder: Path, seed: int = 0) -> ModelFolder:
    """A convolutional picture tower of random weights over 600 words, of which a picture keeps 64."""
    if (folder / "config.json").exists():
        return ModelFolder.open(folder)
    lexicon = make_model(folder).lexicon
    rng = np.random.default_rng(seed)
    words = np.array([i for i, piece in enumerate(lexicon.pieces) if piece.isascii() and piece.isalpha()], np.int64)
    _write_tower(folder / "pictures.onnx", rng, rng.choice(words, _TERMS, replace=False))
    config = json.loads((folder / "config.json").read_text())
    config["picture"]["size"] = _SIZE
    config["pruning"]["picture_terms"] = _KEPT
    config["files"]["pictures"]["sha256"] = file_sha256(folder / "pictures.onnx")
    config["identity"] = model_identity(config, f"small {seed}", lexicon.hash)
    (folder / "config.json").write_text(json.dumps(config))
    return ModelFolder.open(folder)


def _write_tower(path: Path, rng: np.random.Generator, terms: NDArray[np.int64]) -> None:
    def drawn(name: str, *shape: int) -> onnx.TensorProto:
        spread = (2 / np.prod(shape[1:])) ** 0.5
        return numpy_helper.from_array((rng.normal(size=shape) * spread).astype(np.float32), name)

    first, second = _CHANNELS
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),  # (B, S, S, 3)
        helper.make_node("Mul", ["floats", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel1"], ["map1"], strides=[4, 4]),
        helper.make_node("Relu", ["map1"], ["active1"]),
        helper.make_node("Conv", ["active1", "kernel2"], ["map2"], strides=[2, 2]),
        helper.make_node("Relu", ["map2"], ["active2"]),
        helper.make_node("ReduceMean", ["active2"], ["means"], axes=[2, 3], keepdims=0),  # (B, C)
        helper.make_node("MatMul", ["means", "head"], ["scores"]),  # (B, V)
        helper.make_node("Relu", ["scores"], ["positive"]),
        helper.make_node("TopK", ["positive", "k"], ["weights", "places"]),  # (B, K)
        helper.make_node("Gather", ["ids", "places"], ["terms"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(1 / 255, np.float32), "scale"),
        drawn("kernel1", first, 3, 8, 8),
        drawn("kernel2", second, first, 4, 4),
        drawn("head", second, _TERMS),
        numpy_helper.from_array(np.array([_KEPT]), "k"),
        numpy_helper.from_array(terms, "ids"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["B", _SIZE, _SIZE, 3])],
        [
            helper.make_tensor_value_info("terms", TensorProto.INT64, ["B", _KEPT]),
            helper.make_tensor_value_info("weights", TensorProto.FLOAT, ["B", _KEPT]),
        ],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
