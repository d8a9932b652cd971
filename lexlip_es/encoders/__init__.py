"""Encoders: pictures and texts in, batches of lexicon weights out; ONNX Runtime and the query table unless torch is asked for."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

from lexlip_es.errors import LexlipError
from lexlip_es.model_folder import ModelFolder
from lexlip_es.pixels import Pixels
from lexlip_es.weights import SparseWeights

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from lexlip_es.encoders.checkpoint import CheckpointEncoder
    from lexlip_es.encoders.tokens import Token

TextSide = Literal["auto", "table", "tower"]
Runtime = Literal["auto", "onnx", "torch"]


class PictureEncoder(Protocol):
    """Encodes pictures; `batch_size` is how many at once keep the hardware busy."""

    @property
    def batch_size(self) -> int:
        """How many pictures are encoded together."""
        ...

    def encode_pictures(self, pixels: Sequence[Pixels]) -> SparseWeights:
        """Raw (unpruned) weights of B pictures, each uint8 (S, S, 3) RGB as `open_picture` gives it; independent of the batch."""
        ...


class TextEncoder(Protocol):
    """Encodes texts; `tokenizer` makes tokens of them, in the order that origins count."""

    tokenizer: "Tokenizer"

    def encode_texts(self, texts: Sequence[str]) -> SparseWeights:
        """Raw (unpruned) weights of B texts, with `origins` = the position of the token that won each term."""
        ...


class Encoder:
    """Both sides of one model; each is loaded when it is first used, so that a search never loads the picture side."""

    def __init__(self, model: ModelFolder, *, text: TextSide = "auto", runtime: Runtime = "auto") -> None:
        """Nothing is read yet; see `load_encoder` for the arguments."""
        self.model, self._text, self._runtime = model, text, runtime

    @cached_property
    def _checkpoint(self) -> "CheckpointEncoder":
        from lexlip_es.encoders.checkpoint import CheckpointEncoder

        return CheckpointEncoder(self.model)

    @cached_property
    def _pictures(self) -> PictureEncoder:
        path = self.model.file("pictures")
        if self._runtime == "torch" or (self._runtime == "auto" and path is None and self.model.has_checkpoint):
            return self._checkpoint
        if path is None:
            raise LexlipError(f"model {self.model.name} has no picture encoder in {self.model.path}: run lexlip-es pack.")
        from lexlip_es.encoders.onnx import OnnxPictureEncoder

        return OnnxPictureEncoder(path)

    @cached_property
    def _texts(self) -> TextEncoder:
        table, tower = self.model.file("table"), self.model.file("texts")
        if self._text == "table" or (self._text == "auto" and table is not None):
            if table is None:
                raise LexlipError(f"model {self.model.name} has no query table in {self.model.path}: use its text tower.")
            from lexlip_es.encoders.table import TableEncoder

            return TableEncoder(table, self.model)
        if self._runtime == "torch" or (self._runtime == "auto" and tower is None and self.model.has_checkpoint):
            return self._checkpoint
        if tower is None:
            raise LexlipError(f"model {self.model.name} has no text tower in {self.model.path}: use its query table.")
        from lexlip_es.encoders.onnx import OnnxTextEncoder

        return OnnxTextEncoder(tower, self.model)

    @property
    def batch_size(self) -> int:
        """How many pictures at once keep the hardware busy."""
        return self._pictures.batch_size

    def encode_pictures(self, pixels: Sequence[Pixels]) -> SparseWeights:
        """See `PictureEncoder.encode_pictures`."""
        return self._pictures.encode_pictures(pixels)

    def encode_texts(self, texts: Sequence[str]) -> SparseWeights:
        """See `TextEncoder.encode_texts`."""
        return self._texts.encode_texts(texts)

    def tokens(self, text: str) -> "list[Token]":
        """The tokens of a text, in the order that `origins` count: see `tokens.tokens`."""
        from lexlip_es.encoders.tokens import tokens

        return tokens(self._texts.tokenizer, text)


def load_encoder(model: ModelFolder, *, text: TextSide = "auto", runtime: Runtime = "auto") -> Encoder:
    """An encoder for a model folder.

    text: `table` (no network at query time), `tower`, or `auto`: the table where there is one. runtime is what runs a tower:
    `onnx`, `torch` (needs the `train` extra and the folder's model.safetensors), or `auto`: ONNX where the folder has it.
    """
    return Encoder(model, text=text, runtime=runtime)
