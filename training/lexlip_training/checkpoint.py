"""A checkpoint is a model folder without ONNX files: `config.json`, `model.safetensors`, `tokenizer.json`, a card.

Everything is written under another name first and renamed when it is whole, so a killed run leaves the last good one.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lexlip_es.errors import LexlipError
from lexlip_es.lexicon import Lexicon
from lexlip_es.model_folder import FORMAT, ModelFolder, file_sha256, model_identity
from lexlip_training.dense import DenseArchitecture, DenseTwin
from lexlip_training.lexlip import Architecture, LexLip
from lexlip_training.recipe import PictureRecipe

WEIGHTS = "model.safetensors"


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that the file is either the old or the new one."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, path)


def write_tensors(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write safetensors so that the file is either the old or the new one. Raises `OSError` where it cannot be written."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}, partial)
    except SafetensorError as error:
        partial.unlink(missing_ok=True)
        raise OSError(str(error)) from error
    partial.chmod(0o644)  # safetensors writes files that only their owner may read
    os.replace(partial, path)


def model_config(
    model: LexLip | DenseTwin, picture: PictureRecipe, max_tokens: int, *, name: str, weights: Path, lexicon: Lexicon,
    pruning: Mapping[str, int], provenance: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The `config.json` of a model whose weights lie in `weights`, its identity included."""
    config: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "vocabulary_hash": lexicon.hash,
        "picture": {
            "size": picture.size,
            "resize": picture.resize,
            "interpolation": picture.interpolation,
            "mean": list(picture.mean),
            "std": list(picture.std),
        },
        "text": {"max_tokens": max_tokens},
        "architecture": json.loads(json.dumps(model.architecture.to_config())),
        "pruning": dict(pruning),
        "normalise": "l2",
        "files": {},
        "provenance": dict(provenance),
    }
    return config | {"identity": model_identity(config, file_sha256(weights), lexicon.hash)}


def write_checkpoint(
    folder: Path, model: LexLip | DenseTwin, picture: PictureRecipe, max_tokens: int, *, name: str, tokenizer_file: Path, pruning:
    Mapping[str, int], provenance: Mapping[str, Any], card: str,
) -> Path:  # fmt: skip
    """Write a checkpoint folder in one step; an older one of the same name is replaced."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_tensors(partial / WEIGHTS, model.state_dict())
    shutil.copyfile(tokenizer_file, partial / "tokenizer.json")
    lexicon = Lexicon.from_tokenizer(partial / "tokenizer.json")
    config = model_config(
        model, picture, max_tokens, name=name, weights=partial / WEIGHTS, lexicon=lexicon, pruning=pruning, provenance=provenance
    )
    write_json(partial / "config.json", config)
    (partial / "README.md").write_text(card, encoding="utf-8")
    return put_in_place(partial, folder)


def put_in_place(partial: Path, folder: Path) -> Path:
    """Give a finished folder its name; one that has it is replaced, and lost only when the new one stands."""
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def load_weights(model: LexLip | DenseTwin, path: Path) -> None:
    """Load a model's safetensors; raises `LexlipError` if a tensor is missing, unknown or of another shape."""
    try:
        model.load_state_dict(load_file(path))
    except (OSError, RuntimeError) as error:
        raise LexlipError(f"{path} does not hold this model's weights: {str(error).splitlines()[0]}") from error
    if isinstance(model, LexLip):
        model.set_active(model.active.clone())


def load_checkpoint(folder: Path) -> LexLip:
    """Rebuild the LexLIP model of a checkpoint folder, in evaluation mode, without any download. Raises `LexlipError`."""
    model = load_any(folder)
    if not isinstance(model, LexLip):
        raise LexlipError(f"{folder} holds a dense twin, which has no lexicon: name the checkpoint of a LexLIP model.")
    return model


def load_any(folder: Path) -> LexLip | DenseTwin:
    """As `load_checkpoint`, for a dense twin as well."""
    opened = ModelFolder.open(folder)
    if not opened.has_checkpoint:
        raise LexlipError(f"{folder} has no {WEIGHTS}: it was packed for inference; use the checkpoint that it was packed from.")
    config = opened.config
    try:
        described = config["architecture"]
        dense = described.get("kind") == "dense"
        architecture = DenseArchitecture(**described) if dense else Architecture.from_config(described)
    except TypeError as error:
        raise LexlipError(
            f"{folder / 'config.json'} describes an architecture that this version does not know: {error}."
        ) from error
    pixels = config["picture"]["mean"], config["picture"]["std"]
    model: LexLip | DenseTwin = (
        DenseTwin(architecture, *pixels) if isinstance(architecture, DenseArchitecture) else LexLip(architecture, *pixels)
    )
    load_weights(model, folder / WEIGHTS)
    if model_identity(config, file_sha256(folder / WEIGHTS), opened.lexicon.hash) != opened.identity:
        raise LexlipError(f"{folder} was changed after it was written: its identity does not fit its files; restore the folder.")
    return model.eval()


def state_copy(model: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of a model's state on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
