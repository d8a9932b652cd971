"""A model folder: `config.json`, tokenizer, weights and exports, and the identity that index and query must share.

config.json                 shapes, preprocessing, vocabulary hash, pruning, provenance, exported files with their SHA-256
tokenizer.json              WordPiece vocabulary
model.safetensors           torch weights (a checkpoint; absent in a folder packed for inference only)
pictures.onnx               picture encoder
query_table.safetensors     text side without a network: what each piece asks for
texts.onnx                  text tower (optional)
README.md, MODEL_LICENSE    model card, terms of the weights
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureSpec
from lexlip_es.lexicon import Lexicon

FORMAT = 1
_IDENTIFYING = ("format", "picture", "text", "architecture")
_REQUIRED = (
    *("format", "name", "identity", "vocabulary_hash", "files", "text.max_tokens"),
    *("picture.size", "picture.resize", "picture.interpolation", "pruning.picture_terms", "pruning.query_terms"),
)


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lookup(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config


def model_identity(config: Mapping[str, Any], weights_sha256: str, vocabulary_hash: str) -> str:
    """SHA-256 over what decides a model's answers: format, preprocessing, architecture, torch weights and vocabulary.

    Exports (ONNX, int8, query table) copy it unchanged, so that a picture encoded by torch on a GPU and a query from a laptop's
    table belong together; pruning and file hashes are recorded beside it, not in it.
    """
    parts = {key: config[key] for key in _IDENTIFYING} | {"weights": weights_sha256, "vocabulary": vocabulary_hash}
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class Pruning:
    """How many of the heaviest terms a picture and a query keep."""

    picture_terms: int
    query_terms: int

    def unless(self, picture_terms: int | None, query_terms: int | None) -> "Pruning":
        """The same, unless the caller wants another number."""
        return Pruning(picture_terms or self.picture_terms, query_terms or self.query_terms)


@dataclass(frozen=True)
class ModelFolder:
    """An opened model folder; reading it touches `config.json` only, the rest when it is asked for."""

    path: Path
    config: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> "ModelFolder":
        """Open a folder; raises `LexlipError` if it is none, or of a later format."""
        try:
            config = json.loads((path / "config.json").read_text(encoding="utf-8"))
            missing = [key for key in _REQUIRED if _lookup(config, key) is None]
        except (OSError, ValueError, TypeError) as error:
            raise LexlipError(f"{path} is not a model folder: it needs a readable config.json (see lexlip-es pack).") from error
        if missing:
            raise LexlipError(f"{path / 'config.json'} lacks {', '.join(missing)}: pack the model again with lexlip-es pack.")
        if config["format"] != FORMAT:
            raise LexlipError(f"{path} has model format {config['format']}, this version reads {FORMAT}: upgrade lexlip-es.")
        return cls(path, config)

    @property
    def name(self) -> str:
        """A short name for people; the identity is what is compared."""
        return str(self.config["name"])

    @property
    def identity(self) -> str:
        """See `model_identity`."""
        return str(self.config["identity"])

    @property
    def label(self) -> str:
        """Name and the identity's first digits, as error messages show a model."""
        return f"{self.name} ({self.identity[:12]})"

    @property
    def pruning(self) -> Pruning:
        """The numbers of terms that this model was tuned for, on dev data."""
        return Pruning(int(self.config["pruning"]["picture_terms"]), int(self.config["pruning"]["query_terms"]))

    @property
    def max_tokens(self) -> int:
        """The longest text in tokens, [CLS] and [SEP] included."""
        return int(self.config["text"]["max_tokens"])

    @property
    def picture_spec(self) -> PictureSpec:
        """How a picture is brought to the encoder's square."""
        picture = self.config["picture"]
        return PictureSpec(int(picture["size"]), picture["resize"], picture["interpolation"])

    @property
    def tokenizer_path(self) -> Path:
        """Where `tokenizer.json` lies."""
        return self.path / "tokenizer.json"

    @cached_property
    def lexicon(self) -> Lexicon:
        """The vocabulary; raises `LexlipError` if it is not the one that `config.json` names."""
        lexicon = Lexicon.from_tokenizer(self.tokenizer_path)
        if lexicon.hash != self.config["vocabulary_hash"]:
            raise LexlipError(f"{self.tokenizer_path} is not the vocabulary of model {self.name}: restore the model folder.")
        return lexicon

    def file(self, role: str) -> Path | None:
        """The exported file of a role (`pictures`, `texts`, `table`), or None where this folder has none."""
        entry = self.config["files"].get(role)
        path = self.path / entry["name"] if entry else None
        return path if path is not None and path.is_file() else None

    @property
    def has_checkpoint(self) -> bool:
        """Whether the torch weights are here."""
        return (self.path / "model.safetensors").is_file()


def starter_path() -> Path:
    """The folder of the model that ships inside the package."""
    return Path(str(resources.files("lexlip_es"))) / "models" / "starter"


def open_model(path: str | Path | None = None) -> ModelFolder:
    """The model to use: the given folder, else the one that `LEXLIP_ES_MODEL` names, else the shipped starter model."""
    chosen = path or os.environ.get("LEXLIP_ES_MODEL")
    return ModelFolder.open(Path(chosen) if chosen else starter_path())
