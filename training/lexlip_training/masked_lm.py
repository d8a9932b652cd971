"""Text towers from `transformers`, and the masked-LM head that may come with them.

A saved BERT may lack its output matrix, because it is tied to the word embeddings; a loader that does not tie it again leaves
it at random without a word. So the head is read here tensor by tensor, and a missing output matrix is the word embeddings, by
rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lexlip_es.errors import LexlipError
from lexlip_training.starter_weights import minilm_folder


@dataclass(frozen=True)
class MaskedLmHead:
    """A BERT-like masked-LM head: dense (D, D) and LayerNorm (D) with their biases, decoder (V, D), bias (V)."""

    dense_weight: Tensor
    dense_bias: Tensor
    norm_weight: Tensor
    norm_bias: Tensor
    decoder: Tensor
    bias: Tensor


def head_from_state(state: Mapping[str, Tensor]) -> MaskedLmHead | None:
    """The head in a masked LM's state dict, or None for an encoder without one; a missing decoder is the word embedding matrix.

    Names as BERT's (`cls.predictions.transform.dense.weight`, ...); raises `LexlipError` for a head without word embeddings.
    """
    prefix = "cls.predictions."
    if f"{prefix}transform.dense.weight" not in state:
        return None
    embeddings = next((tensor for name, tensor in state.items() if name.endswith("word_embeddings.weight")), None)
    decoder = state.get(f"{prefix}decoder.weight", embeddings)
    if decoder is None:
        raise LexlipError("the masked LM has neither a decoder matrix nor word embeddings: save the model again.")
    bias = state.get(f"{prefix}bias", state.get(f"{prefix}decoder.bias"))
    return MaskedLmHead(
        state[f"{prefix}transform.dense.weight"],
        state[f"{prefix}transform.dense.bias"],
        state[f"{prefix}transform.LayerNorm.weight"],
        state[f"{prefix}transform.LayerNorm.bias"],
        decoder,
        torch.zeros(decoder.shape[0]) if bias is None else bias,
    )


@dataclass(frozen=True)
class PretrainedText:
    """What a recipe's `text.model` names: the encoder, its head if it has one, and its tokenizer.json."""

    encoder: nn.Module
    head: MaskedLmHead | None
    tokenizer_file: Path


def portable_config(encoder: Any) -> dict[str, Any]:
    """An encoder's transformers configuration without what only tells where and by whom it was saved (a path, versions)."""
    config: dict[str, Any] = encoder.config.to_dict()
    return {
        key: value
        for key, value in config.items()
        if not key.startswith("_") and key not in ("transformers_version", "architectures")
    }


def encoder_from_config(config: Mapping[str, Any]) -> nn.Module:
    """An encoder with random weights from a transformers configuration, as `config.json` of a model folder keeps it."""
    from transformers import AutoConfig, AutoModel

    settings = AutoConfig.for_model(**config)
    extra = {"add_pooling_layer": False} if config.get("model_type") in ("bert", "roberta") else {}
    encoder: nn.Module = AutoModel.from_config(settings, **extra)  # type: ignore[no-untyped-call]
    return encoder


def load_text(source: str) -> PretrainedText:
    """Open "package:minilm", a folder, or a model name that transformers knows; raises `LexlipError`."""
    folder = minilm_folder() if source == "package:minilm" else Path(source)
    if not folder.is_dir():
        folder = _downloaded(source)
    try:
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(folder).to_dict()
        state = load_file(folder / "model.safetensors")
    except (OSError, ValueError) as error:
        raise LexlipError(f"{folder} is not a text model with config.json and model.safetensors: correct text.model.") from error
    encoder = encoder_from_config(config)
    _load_encoder(encoder, state, str(folder))
    return PretrainedText(encoder, head_from_state(state), folder / "tokenizer.json")


def _load_encoder(encoder: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Copy the encoder's tensors, whatever prefix ("bert.", "roberta.") the file puts before them; none may be missing."""
    wanted = encoder.state_dict()
    prefixes = ("", *{f"{name.split('.')[0]}." for name in state})
    for prefix in prefixes:
        found = {name: state[prefix + name] for name in wanted if prefix + name in state}
        if len(found) >= len([name for name in wanted if not name.endswith(("position_ids", "token_type_ids"))]):
            encoder.load_state_dict(found, strict=False)
            return
    raise LexlipError(
        f"{where} does not hold all weights of the text tower that its config.json describes: save the model again."
    )


def _downloaded(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:  # any failure of a hub is the same to the user
        raise LexlipError(
            f"the text model '{name}' is neither a folder nor to be had from the hub: correct text.model."
        ) from error


def random_text(layers: int, dim: int, tokenizer_file: Path, vocabulary: int) -> PretrainedText:
    """A small BERT with random weights, for tests and for training from nothing."""
    config = {
        "model_type": "bert",
        "vocab_size": vocabulary,
        "hidden_size": dim,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, dim // 32),
        "intermediate_size": 4 * dim,
        "max_position_embeddings": 128,
    }
    return PretrainedText(encoder_from_config(config), None, tokenizer_file)
