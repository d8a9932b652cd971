"""From a recipe to a model with its start weights."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from lexlip_es.errors import LexlipError
from lexlip_es.lexicon import Lexicon
from lexlip_training.checkpoint import load_any
from lexlip_training.class_words import ClassWords, named_terms
from lexlip_training.data import Split, tokenise
from lexlip_training.dense import DenseArchitecture, DenseTwin
from lexlip_training.lexlip import Architecture, LexLip
from lexlip_training.masked_lm import PretrainedText, load_text, portable_config, random_text
from lexlip_training.pieces import active_pieces, bag_start, centred, document_frequency, speakable
from lexlip_training.recipe import Recipe
from lexlip_training.starter_weights import minilm_folder, packaged_backbone, packaged_classifier
from lexlip_training.towers import Backbone

POSITIONED = frozenset(("beit", "vision_transformer", "deit", "eva", "swin_transformer", "swin_transformer_v2", "cait", "volo"))
"""timm's families whose weights depend on the picture size."""


@dataclass(frozen=True)
class Built:
    """A model ready to train, and its vocabulary."""

    model: Any  # a `LexLip`, or the `DenseTwin` of a dense recipe
    lexicon: Lexicon
    tokenizer_file: Path


def build(recipe: Recipe, train: Split) -> Built:
    """Make the model that a recipe describes; the training captions decide its active pieces. Raises `LexlipError`."""
    text = _text(recipe)
    lexicon = Lexicon.from_tokenizer(text.tokenizer_file)
    if recipe.kind == "dense":
        return Built(_start(_dense(recipe, text), recipe), lexicon, text.tokenizer_file)
    pieces = tokenise(train.texts, text.tokenizer_file, recipe.text.max_tokens)
    embeddings = text.encoder.get_input_embeddings().weight.detach().clone()  # type: ignore[operator]  # (V, D)
    counts = document_frequency(pieces, len(lexicon))
    directions = centred(embeddings, lexicon)
    if recipe.lexicon.active == "all":
        active = speakable(lexicon).nonzero()[0]
    else:
        settings = recipe.lexicon
        active = active_pieces(counts, lexicon, text.tokenizer_file, directions, settings.neighbour_cosine, settings.neighbours)
    evidence = named_terms(lexicon, active.tolist()) if recipe.picture.class_words else None
    architecture = Architecture(
        backbone=recipe.picture.backbone,
        frozen_blocks=recipe.picture.frozen_blocks,
        positions=recipe.picture.positions,
        text_config=_text_config(recipe, text),
        frozen_layers=recipe.text.frozen_layers,
        copy=recipe.text.copy > 0,
        decoder=recipe.lexicon.decoder,
        active=len(active),
        vocabulary=len(lexicon),
        dropout=recipe.picture.dropout,
        size=_position_size(recipe),
        class_words=0 if evidence is None else evidence[0].shape[1],
    )
    model = LexLip(architecture, recipe.picture.mean, recipe.picture.std)
    model.set_active(torch.from_numpy(active))
    model.text.encoder.load_state_dict(text.encoder.state_dict())
    _load_backbone(recipe, model.picture.backbone.network)
    if model.classes is not None and evidence is not None:
        _start_classes(model.classes, recipe, model.picture.backbone, *evidence)
    with torch.no_grad():
        _start_heads(model, recipe, text, directions if recipe.lexicon.centred else embeddings)
        model.bag.theta.copy_(torch.log(torch.expm1(bag_start(counts, len(pieces))[model.active].clamp(min=0.05))))
    return Built(_start(model, recipe), lexicon, text.tokenizer_file)


def _dense(recipe: Recipe, text: PretrainedText) -> DenseTwin:
    picture = recipe.picture
    architecture = DenseArchitecture(
        backbone=picture.backbone,
        frozen_blocks=picture.frozen_blocks,
        positions=picture.positions,
        text_config=_text_config(recipe, text),
        frozen_layers=recipe.text.frozen_layers,
        dim=recipe.dense_dim,
        dropout=picture.dropout,
        size=_position_size(recipe),
    )
    model = DenseTwin(architecture, picture.mean, picture.std)
    model.text.encoder.load_state_dict(text.encoder.state_dict())
    _load_backbone(recipe, model.picture.backbone.network)
    return model


def _text_config(recipe: Recipe, text: PretrainedText) -> dict[str, Any]:
    config = portable_config(text.encoder)
    if recipe.text.dropout >= 0:
        config |= dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), recipe.text.dropout)
    return config


def _position_size(recipe: Recipe) -> int | None:
    """The picture size for backbones that have tables of positions (transformers); None for convolutions."""
    from timm import is_model, model_entrypoint

    name = recipe.picture.backbone.split(".")[0]
    family = model_entrypoint(name).__module__.rsplit(".", 1)[-1] if is_model(name) else ""
    return recipe.picture.size if family in POSITIONED else None


def _start(model: Any, recipe: Recipe) -> Any:
    """The weights of the recipe's `start` checkpoint, its position tables brought to this recipe's picture size by timm."""
    if not recipe.start:
        return model
    source = load_any(Path(recipe.start))
    state = source.state_dict()
    prefix = "picture.backbone.network."
    network = model.picture.backbone.network
    adapt = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if recipe.picture.size != (source.architecture.size or recipe.picture.size) and adapt is not None:
        below = {name.removeprefix(prefix): state.pop(name) for name in list(state) if name.startswith(prefix)}
        state |= {prefix + name: tensor for name, tensor in adapt(below, network).items()}
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise LexlipError(f"{recipe.start} is another model than this recipe's: {str(error).splitlines()[-1].strip()}") from error
    if isinstance(model, LexLip):
        model.set_active(model.active.clone())
    return model


def _text(recipe: Recipe) -> PretrainedText:
    source = recipe.text.model
    if not source.startswith("random:"):
        return load_text(source)
    try:
        layers, dim = map(int, source.removeprefix("random:").split("x"))
    except ValueError as error:
        raise LexlipError(f"text.model is '{source}': write random:LAYERSxDIM, such as random:2x64.") from error
    tokenizer_file = minilm_folder() / "tokenizer.json"  # BERT's uncased vocabulary
    return random_text(layers, dim, tokenizer_file, len(Lexicon.from_tokenizer(tokenizer_file)))


def _load_backbone(recipe: Recipe, network: nn.Module) -> None:
    source = recipe.picture.weights
    if source == "random":
        return
    if source.startswith("package:"):
        state = packaged_backbone(source.removeprefix("package:"), network)
    elif source == "timm":
        import timm

        state = timm.create_model(recipe.picture.backbone, pretrained=True, num_classes=0).state_dict()
    else:
        try:
            state = load_file(source)
        except (OSError, ValueError) as error:
            raise LexlipError(f"{source} is not a readable safetensors file: correct picture.weights.") from error
    wanted = {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}
    if lacking := wanted - set(state):
        raise LexlipError(
            f"the weights '{source}' lack {len(lacking)} tensors of {recipe.picture.backbone}: correct picture.weights."
        )
    network.load_state_dict({name: state[name] for name in wanted}, strict=False)


def _start_classes(classes: ClassWords, recipe: Recipe, backbone: Backbone, named: torch.Tensor, word_of: torch.Tensor) -> None:
    """The classifier and the layers below it as they were pretrained; raises `LexlipError` where they are not at hand."""
    kind, _, name = recipe.picture.weights.partition(":")
    if kind != "package" or backbone.frozen_blocks != len(backbone.network.blocks):
        raise LexlipError(
            "picture.class_words needs a packaged backbone with all its blocks frozen: set picture.weights to package:NAME and "
            f"picture.frozen_blocks to {len(backbone.network.blocks)}, or leave picture.class_words out."
        )
    classes.conv.load_state_dict(backbone.network.conv_head.state_dict())
    classes.norm.load_state_dict(backbone.network.bn2.state_dict())
    weight, bias = packaged_classifier(name)
    classes.classifier.load_state_dict({"weight": weight, "bias": bias})
    classes.named.copy_(named)
    classes.word_of.copy_(word_of)


def _start_heads(model: LexLip, recipe: Recipe, text: PretrainedText, matrix: torch.Tensor) -> None:
    """The text head starts from the masked LM's where there is one, the picture head as a copy of it (LexLIP).

    Else both afresh.
    """
    nn.init.constant_(model.text_head.norm.weight, recipe.text.norm_scale)
    nn.init.constant_(model.picture_head.norm.weight, recipe.picture.norm_scale)
    if text.head is not None:
        matrix = text.head.decoder
        for head in (model.text_head, model.picture_head):
            head.dense.weight.copy_(text.head.dense_weight)
            head.dense.bias.copy_(text.head.dense_bias)
            head.norm.weight.copy_(text.head.norm_weight)
            head.norm.bias.copy_(text.head.norm_bias)
            head.bias.copy_(text.head.bias[model.active])
    model.text_head.bias.add_(recipe.text.bias)
    model.picture_head.bias.add_(recipe.picture.bias)
    for decoder in (model.decoder, model.text_decoder):
        if decoder is not None:
            decoder.copy_(matrix[model.active])
    if model.copy is not None:
        model.copy.fill_(recipe.text.copy)
