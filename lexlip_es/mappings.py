"""Index bodies: `mappings/*.json`, the single source, with what depends on the model filled in as `_meta.lexlip`.

A checkout reads the files where they lie; a wheel carries them as `lexlip_es/mappings_json/` (see pyproject.toml).
"""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from lexlip_es.errors import LexlipError, ModelMismatchError
from lexlip_es.model_folder import ModelFolder
from lexlip_es.names import Kind

SCHEMA = 1
# For the first load of an index that nobody searches yet (engine advice; see the engines' bulk-loading guides).
LOAD_SETTINGS: dict[str, Any] = {"refresh_interval": "-1", "auto_expand_replicas": False, "number_of_replicas": 0}


def _template(family: str) -> dict[str, Any]:
    package = Path(str(resources.files("lexlip_es")))
    folders = (package / "mappings_json", package.parent / "mappings")
    for folder in folders:
        if (folder / f"{family}.json").is_file():
            body: dict[str, Any] = json.loads((folder / f"{family}.json").read_text(encoding="utf-8"))
            return body
    raise LexlipError(f"mappings/{family}.json is missing from this installation: install lexlip-es again.")


def index_meta(model: ModelFolder, kind: Kind, terms: int) -> dict[str, Any]:
    """What `_meta.lexlip` says about the documents of an index: who made them, and how they were pruned to `terms` terms."""
    return {
        "schema": SCHEMA,
        "kind": kind,
        "model": {"name": model.name, "identity": model.identity},
        "vocabulary_hash": model.config["vocabulary_hash"],
        "pruning": {"terms": terms},
        "normalise": "l2",
        "field_type": "rank_features",
    }


def index_body(meta: dict[str, Any], *, family: str = "opensearch", shards: int = 1) -> dict[str, Any]:
    """The body that creates an index: settings and mappings of the family's template, with `_meta.lexlip` = meta."""
    body = _template(family)
    body["settings"]["index"]["number_of_shards"] = shards
    body["mappings"] = {"_meta": {"lexlip": meta}, **body["mappings"]}
    return body


@dataclass(frozen=True)
class IndexMeta:
    """`_meta.lexlip` of an existing index, checked."""

    index: str
    meta: dict[str, Any]

    @classmethod
    def of(cls, index: str, mappings: dict[str, Any]) -> "IndexMeta":
        """Read an index's mappings; raises `LexlipError` for an index that is not ours or of a later schema."""
        meta = mappings.get("_meta", {}).get("lexlip")
        if not isinstance(meta, dict):
            raise LexlipError(f"index {index} was not made by lexlip-es and is left alone: choose another name with --index.")
        if meta.get("schema") != SCHEMA:
            raise LexlipError(
                f"index {index} has lexlip schema {meta.get('schema')}, this version reads {SCHEMA}: "
                "use the lexlip-es version that made it, or index again under another name."
            )
        return cls(index, meta)

    @property
    def kind(self) -> Kind:
        """Whether its documents are pictures or texts."""
        return "text" if self.meta["kind"] == "text" else "picture"

    def require_model(self, model: ModelFolder) -> None:
        """Raise `ModelMismatchError` unless the documents were made by this model."""
        made_by = self.meta["model"]
        if made_by["identity"] != model.identity:
            raise ModelMismatchError(
                f"index {self.index} was made with model {made_by['name']} ({made_by['identity'][:12]}), not with {model.label}: "
                "name that model with --model, or index the pictures again under another name."
            )

    def require_same_documents(self, model: ModelFolder, kind: Kind, terms: int) -> None:
        """Raise unless documents made now would be like those that are there: model, kind and number of terms."""
        self.require_model(model)
        if self.kind != kind:
            raise LexlipError(f"index {self.index} holds {self.kind}s, not {kind}s: choose another name with --index.")
        if self.meta["pruning"]["terms"] != terms:
            raise ModelMismatchError(
                f"index {self.index} keeps {self.meta['pruning']['terms']} terms a {kind}, not {terms}: "
                f"use --terms {self.meta['pruning']['terms']}, or index under another name."
            )
