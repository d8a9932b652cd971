"""A recipe says everything about a training run except where its data lies; it is a TOML file.

Unknown keys are errors, so that a misspelt setting never trains a different model in silence. `load_recipe(path,
["data.images=/photos"])` overrides single values from the command line; a phase is addressed by its name:
`phase.joint.epochs=2`.
"""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from lexlip_es.errors import UsageError


@dataclass(frozen=True)
class DataRecipe:
    """Where captioned pictures come from: a folder and a captions file, or webdataset shards.

    `train`, `dev` and `test` are split lists, looked up beside the captions file; with shards they are globs of tar files.
    """

    images: str = ""
    captions: str = ""  # CSV, TSV, JSONL, JSON or Parquet
    shards: str = ""  # a folder of tar files in the img2dataset layout, instead of images and captions
    train: str = ""
    dev: str = ""
    test: str = ""
    workers: int = 0  # processes that decode pictures; 0 decodes in the training process
    max_bad: float = 0.05  # share of missing, uncaptioned or unreadable pictures above which a run stops


@dataclass(frozen=True)
class AugmentRecipe:
    """Random views of training pictures. Never flipped: captions say left and right."""

    views: int = 2  # with a cached prefix: how many random crops are made once and drawn from, besides the plain picture
    min_area: float = 0.5
    max_stretch: float = 0.2  # log aspect ratio of a crop, uniform in +- this
    randaugment: str = ""  # a timm policy, such as "rand-m9-n2"; live decoding only


@dataclass(frozen=True)
class PictureRecipe:
    """The picture tower: a timm backbone, what of it is frozen, and the head's start values."""

    backbone: str = "tf_efficientnet_lite0"
    weights: str = "random"  # "package:NAME" (starter_weights), "timm", "random", or a local .safetensors file
    size: int = 224
    resize: Literal["squash", "crop"] = "squash"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    frozen_blocks: int = 0  # the first blocks, stem included, never train: a cache keeps what they give; -1 = the whole backbone
    positions: Literal["all", "mean+all", "pooled"] = "all"
    dropout: float = 0.0  # of whole channels, before the projection
    bias: float = 0.0  # start value of every term's bias
    norm_scale: float = 1.0
    class_words: bool = False  # the backbone's own classifier gives evidence for the words of its classes


@dataclass(frozen=True)
class TextRecipe:
    """The text tower: a transformers masked LM or encoder, and the head's start values."""

    model: str = "package:minilm"  # or a model name or folder that transformers can open, or "random:LAYERSxDIM" (tests)
    max_tokens: int = 40
    dropout: float = -1.0  # in the encoder; below 0: as the model comes
    frozen_layers: int = 0  # word embeddings and the first layers never train: a cache keeps what they give
    copy: float = 0.0  # > 0: each position starts by saying its own input piece (for encoders without a masked-LM head)
    bias: float = 0.0  # start value of every term's bias
    norm_scale: float = 1.0


@dataclass(frozen=True)
class LexiconRecipe:
    """The output matrix and the pieces that a model may speak."""

    decoder: Literal["shared", "separate", "embeddings"] = "separate"  # one for both sides, one each, or the text tower's own
    centred: bool = False  # start from word embeddings with their mean taken off and unit norm (encoders without an LM head)
    active: Literal["all", "captions"] = "all"
    neighbour_cosine: float = 0.5  # active = "captions": near neighbours of the captions' pieces speak too
    neighbours: int = 3
    drop_function_words: bool = False  # the finished model does not speak them: they say nothing that can be seen


@dataclass(frozen=True)
class LossRecipe:
    """Weights of the loss parts; 0 leaves a part out."""

    contrast: float = 1.0
    temperature: float = 0.05
    flops_picture: float = 0.0
    flops_text: float = 0.0
    flops_on: Literal["raw", "normalised"] = "raw"
    flops_ramp: float = 0.5  # share of the phase over which FLOPS grows quadratically to its full weight
    labels_picture: float = 0.0
    labels_text: float = 0.0
    mlm: float = 0.0  # self-supervised masked language modelling of the caption (stage 1)
    picture_mlm: float = 0.0  # the caption masked harder, read back through the picture's bottleneck (stage 1)
    text_mlm: float = 0.0  # the same through the caption's own bottleneck (stage 1)
    distil: float = 0.0  # the teacher's similarities within the batch

    @property
    def wants_labels(self) -> bool:
        """Whether it has a part that needs the captions' pieces as labels."""
        return bool(self.labels_picture or self.labels_text)


@dataclass(frozen=True)
class MaskingRecipe:
    """Shares of a caption's pieces that stage 1 hides, whole words at a time."""

    caption: float = 0.3  # for the text tower
    bottleneck: float = 0.5  # for the bottleneck decoder
    decoder_layers: int = 2


@dataclass(frozen=True)
class MomentumRecipe:
    """Stage 2: momentum encoders and queues of their keys; `keys = 0` leaves them out."""

    keys: int = 0  # entries a side; at most half the distinct training pictures
    momentum: float = 0.99
    batch_negatives: bool = True  # the batch's other momentum keys are negatives too (the paper: the queue alone)
    stored_terms: int = 0  # keep only so many of a key's heaviest terms; 0 keeps all


@dataclass(frozen=True)
class TeacherRecipe:
    """Checkpoints whose similarities a phase with `loss.distil` learns; several are averaged."""

    checkpoints: tuple[str, ...] = ()
    temperature: float = 0.05


@dataclass(frozen=True)
class PhaseRecipe:
    """One stretch of training.

    A part of the model trains in it if `rates` gives it, or something that it lies in, a learning rate.
    """

    name: str
    epochs: int
    text: Literal["bag", "tower"] = "tower"
    rates: Mapping[str, float] = field(default_factory=dict)  # part -> peak learning rate, longest matching prefix wins
    loss: LossRecipe = field(default_factory=LossRecipe)
    masking: MaskingRecipe = field(default_factory=MaskingRecipe)
    momentum: MomentumRecipe = field(default_factory=MomentumRecipe)
    locked_pictures: bool = False  # picture side fixed; all training pictures are candidates, not just the batch
    captions: int = 1  # captions drawn per picture and step
    batch: int = 128  # pictures of one part, over all processes together: what contrast sees
    accumulate: int = 1  # parts a step
    warm_up: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0


@dataclass(frozen=True)
class TableRecipe:
    """The expanded query table: terms kept per piece, and the factors tried on dev (see `table`)."""

    terms: int = 16
    damping: tuple[float, ...] = (0.15, 0.25, 0.35, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Recipe:
    """A whole training run."""

    name: str
    phase: tuple[PhaseRecipe, ...]
    kind: Literal["lexlip", "dense"] = "lexlip"  # "dense": the same towers with one cosine embedding, for comparison
    dense_dim: int = 256
    start: str = ""  # a checkpoint folder whose weights the run starts from (stage 2 after stage 1)
    seed: int = 0
    output: str = "runs"
    save_every: int = 500  # steps between states to resume from, besides the end of each epoch
    keep_states: int = 2
    cache: str = ""  # folder for the frozen prefixes' outputs; empty: decode live
    precision: Literal["no", "bf16", "fp16"] = "no"
    gradient_checkpointing: bool = False  # towers are computed again in the backward pass: slower, less memory
    compile: bool = False  # torch.compile on the towers
    about: str = ""  # for the model card: what the training data is
    limits: str = ""  # for the model card: what not to expect of the model
    licence: str = "unknown"  # the terms under which the weights may be used
    data: DataRecipe = field(default_factory=DataRecipe)
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    picture: PictureRecipe = field(default_factory=PictureRecipe)
    text: TextRecipe = field(default_factory=TextRecipe)
    lexicon: LexiconRecipe = field(default_factory=LexiconRecipe)
    table: TableRecipe = field(default_factory=TableRecipe)
    teacher: TeacherRecipe = field(default_factory=TeacherRecipe)

    @property
    def wants_labels(self) -> bool:
        """Whether any phase needs labels; the dense twin has no terms for them."""
        return self.kind == "lexlip" and any(phase.loss.wants_labels for phase in self.phase)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `a.b=c` overrides (values in TOML syntax, a bare word is text).

    Raises `UsageError` for an unreadable file, an unknown key (with the nearest known one) or a value of the wrong kind.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the recipe {path} cannot be read: give the path of a TOML file.") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the recipe {path} is not valid TOML: {error}.") from error
    for override in overrides:
        _override(values, override)
    recipe = recipe_from(values)
    names = [phase.name for phase in recipe.phase]
    if not names or len(set(names)) != len(names):
        raise UsageError(f"the recipe {path} needs [[phase]] entries, each with a name of its own.")
    return recipe


def recipe_from(values: Mapping[str, Any]) -> Recipe:
    """A `Recipe` from the nested dictionary that TOML or JSON gives; raises `UsageError` as `load_recipe` does."""
    made: Recipe = _build(Recipe, values, "")
    return made


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UsageError(f"'{override}' is not an override: write it as part.key=value.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.split(".")
    at: Any = values
    for parent in parents:
        at = _phase_named(at, parent) if isinstance(at, list) else at.setdefault(parent, {})
        if not isinstance(at, dict | list):
            raise UsageError(f"'{key}' reaches into a plain value: {parent} has no parts.")
    if isinstance(at, list):
        raise UsageError(f"'{key}' is not one value: write phase.NAME.{last} or the like.")
    at[last] = value


def _phase_named(phases: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for phase in phases:
        if phase.get("name") == name:
            return phase
    raise UsageError(f"the recipe has no phase '{name}': it has {', '.join(str(phase.get('name')) for phase in phases)}.")


def _build(kind: Any, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise UsageError(f"{where or 'the recipe'} must be a table, not {values!r}.")
    known: dict[str, Field[Any]] = {entry.name: entry for entry in fields(kind)}
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}."
            raise UsageError(f"the recipe has an unknown key '{where}{key}': {hint}")
    for name, entry in known.items():
        if name not in values and entry.default is MISSING and entry.default_factory is MISSING:
            raise UsageError(f"the recipe lacks '{where}{name}': add it.")
    hints = get_type_hints(kind)
    return kind(**{key: _value(hints[key], value, f"{where}{key}") for key, value in values.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if is_dataclass(hint):
        return _build(hint, value, f"{where}.")
    if origin is Literal:
        if value not in get_args(hint):
            raise UsageError(f"'{where}' is {value!r}: choose one of {', '.join(map(str, get_args(hint)))}.")
        return value
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_value(get_args(hint)[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin not in (None, tuple) and isinstance(value, Mapping):  # Mapping[str, float]
        return {key: _value(get_args(hint)[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UsageError(f"'{where}' is {value!r}, which is not the kind of value it needs.")
