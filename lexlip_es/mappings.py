"""Index bodies and templates: `mappings/`, the single source, with what depends on the model as `_meta.lexlip`.

A checkout reads the files where they lie; a wheel carries them as `lexlip_es/mappings_json/` (see pyproject.toml).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from lexlip_es.dialects import Family, FieldType, family_for, field_type_of, known_to
from lexlip_es.engines.protocol import ServerInfo
from lexlip_es.errors import LexlipError, ModelMismatchError
from lexlip_es.meta_columns import meta_field
from lexlip_es.model_folder import ModelFolder
from lexlip_es.names import Kind

SCHEMA = 3  # 2 has `root` and `perceptual_hash`, 3 `name` and `tags.words`
_SEARCHED = 1  # the oldest schema whose documents are searched like the newest
REBUILD = "lexlip-es rebuild"
COMPRESSED = "best_compression"  # `index.codec`, of every server
# For the first load of an index that nobody searches yet (engine advice; see the engines' bulk-loading guides).
LOAD_SETTINGS: dict[str, Any] = {"refresh_interval": "-1", "auto_expand_replicas": False, "number_of_replicas": 0}


TEMPLATE_PRIORITY = 500  # above the servers' own templates (100 to 200), of which some match any name with a dash


def _text(name: str) -> str:
    package = Path(str(resources.files("lexlip_es")))
    for folder in (package / "mappings_json", package.parent / "mappings"):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    raise LexlipError(f"mappings/{name} is missing from this installation: install lexlip-es again.")


def _family_body(family: Family) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(_text(f"{family}.json"))
    return body


def index_meta(
    model: ModelFolder,
    kind: Kind,
    terms: int,
    field_type: FieldType = "rank_features",
    *,
    write_once: bool = False,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What `_meta.lexlip` says about the documents of an index: who made them, and how they were pruned to `terms` terms.

    write_once: their `_source` does not keep the terms; columns: of `meta`, name -> type; see `index_body`.
    """
    return {
        "schema": SCHEMA,
        "kind": kind,
        "model": {"name": model.name, "identity": model.identity},
        "vocabulary_hash": model.config["vocabulary_hash"],
        "pruning": {"terms": terms},
        "normalise": "l2",
        "field_type": field_type,
        **({"write_once": True} if write_once else {}),
        **({"columns": dict(columns)} if columns else {}),
    }


def index_body(
    meta: Mapping[str, Any],
    *,
    family: Family = "opensearch",
    shards: int = 1,
    server: ServerInfo | None = None,
    compress: bool = False,
) -> dict[str, Any]:
    """The body that creates an index: settings and mappings of the family's file, with `_meta.lexlip` = meta.

    Where that says `write_once`, the terms are searched but not kept in `_source`, which is most of the disk: the engine then
    loses them with every partial update, reindex and update by query, and answers that all went well. Its `columns` are fields.

    server: what it would refuse because it is older is left out; by default it is as new as the file. compress: pack `_source`
    more tightly, which costs time at loading and fetching.
    """
    body = _family_body(family)
    body["settings"]["index"]["number_of_shards"] = shards
    body["mappings"] = {"_meta": {"lexlip": dict(meta)}, **body["mappings"]}
    if columns := meta.get("columns"):
        body["mappings"]["properties"]["meta"] = meta_field(columns)
    if compress:
        body["settings"]["index"]["codec"] = COMPRESSED
    if meta.get("write_once"):
        body["mappings"]["_source"] = {"excludes": ["terms"]}
        if family == "opensearch":  # which otherwise keeps a second, whole source to copy shards from
            body["mappings"]["_source"]["recovery_source_excludes"] = ["terms"]
    if server is not None and field_type_of(family) == "sparse_vector":
        body = known_to(server, body)
    return body


def keeps_no_terms(mappings: Mapping[str, Any]) -> bool:
    """Whether the documents of an index with these mappings lose their terms when something updates them."""
    source = mappings.get("_source", {})
    return source.get("enabled") in (False, "false") or bool(source.get("excludes")) or bool(source.get("includes"))


@dataclass(frozen=True)
class IndexTemplate:
    """A composable index template and its name on the server: what `PUT /_index_template/NAME` takes."""

    name: str
    body: dict[str, Any]


def model_template(
    model: ModelFolder,
    alias: str,
    kind: Kind = "picture",
    *,
    family: Family | None = None,
    terms: int | None = None,
    shards: int = 1,
    server: ServerInfo | None = None,
) -> IndexTemplate:
    """The template for `ALIAS-0*`: any loader that creates such an index gets our mapping, not floats where terms should be.

    Our numbered names alone: `ALIAS-thumbnails` is somebody else's.

    family: by default the server's, and `opensearch` where none is given. Raises `UsageError` for one that the server lacks.
    """
    if server is not None:
        chosen = family_for(server, field_type_of(family) if family else "rank_features")
    else:
        chosen = family or "opensearch"
    meta = index_meta(model, kind, terms or model.pruning.picture_terms, field_type_of(chosen))
    body = {
        "index_patterns": [f"{alias}-0*"],
        "priority": TEMPLATE_PRIORITY,
        "template": index_body(meta, family=chosen, shards=shards, server=server),
    }
    return IndexTemplate(f"lexlip-{alias}", body)


SEARCH_TEMPLATE = "lexlip"
"""The name of the stored search template on the server."""


def search_template() -> dict[str, Any]:
    """The stored search template: what `PUT /_scripts/lexlip` takes.

    Parameters: `should`, the clauses that score, without which the server refuses by name what is missing; `size` (10) and `from`
    (0), which can only be numbers; `filter`, a clause or several. Clauses are the engine's own to check, as in any search.
    """
    return {"script": {"lang": "mustache", "source": _text("search-template.mustache")}}


@dataclass(frozen=True)
class IndexMeta:
    """`_meta.lexlip` of an existing index, checked."""

    index: str
    meta: dict[str, Any]

    @classmethod
    def of(cls, index: str, mappings: dict[str, Any]) -> "IndexMeta":
        """Read an index's mappings; raises `LexlipError` for an index that is not ours or of a schema that is not read."""
        found = cls.of_any_schema(index, mappings)
        if found.meta.get("schema", 0) < _SEARCHED:
            raise found._too_old("reads")
        return found

    @classmethod
    def of_any_schema(cls, index: str, mappings: dict[str, Any]) -> "IndexMeta":
        """As `of`, but an older schema is taken too: enough to replace its index, not to read its documents."""
        meta = mappings.get("_meta", {}).get("lexlip")
        if not isinstance(meta, dict):
            raise LexlipError(f"index {index} was not made by lexlip-es and is left alone: choose another name with --index.")
        schema = meta.get("schema", 0)
        if not isinstance(schema, int) or schema > SCHEMA:
            raise LexlipError(
                f"index {index} has lexlip schema {schema}, this version reads {SCHEMA}: "
                "use the lexlip-es version that made it, or index again under another name."
            )
        return cls(index, meta)

    @property
    def is_older(self) -> bool:
        """Whether an earlier version wrote it, in a schema that this one does not write."""
        return bool(self.meta.get("schema", 0) < SCHEMA)

    def _too_old(self, does: str) -> LexlipError:
        return LexlipError(
            f"index {self.index} has lexlip schema {self.meta.get('schema')}, this version {does} {SCHEMA}: "
            f"make its documents anew with {REBUILD}."
        )

    @property
    def kind(self) -> Kind:
        """Whether its documents are pictures or texts."""
        return "text" if self.meta.get("kind") == "text" else "picture"

    @property
    def field_type(self) -> FieldType:
        """What its `terms` are; the oldest indices do not say, and have the only type that there was."""
        return "sparse_vector" if self.meta.get("field_type") == "sparse_vector" else "rank_features"

    @property
    def write_once(self) -> bool:
        """Whether its documents do not keep their terms in `_source`."""
        return bool(self.meta.get("write_once"))

    def require_write_once(self, write_once: bool | None) -> None:
        """Raise unless its documents keep their terms, or do not, as is wanted; None asks for nothing."""
        if write_once not in (None, self.write_once):
            does, other = ("keeps no", "--no-write-once") if self.write_once else ("keeps", "--write-once")
            raise LexlipError(
                f"index {self.index} {does} terms in its documents' _source: leave out {other}, or make it anew with {REBUILD} "
                f"{other}."
            )

    def require_field_type(self, field_type: FieldType | None) -> None:
        """Raise unless `terms` are of this type; None asks for nothing."""
        if field_type not in (None, self.field_type):
            raise LexlipError(
                f"index {self.index} has a {self.field_type} field, not {field_type}: leave out --field-type, "
                f"or make it anew with {REBUILD}."
            )

    def require_model(self, model: ModelFolder) -> None:
        """Raise `ModelMismatchError` unless the documents were made by this model."""
        made_by = self.meta["model"]
        if made_by["identity"] != model.identity:
            raise ModelMismatchError(
                f"index {self.index} was made with model {made_by['name']} ({made_by['identity'][:12]}), not with {model.label}: "
                f"name that model with --model, or make its documents anew with {REBUILD}."
            )

    def require_same_documents(self, model: ModelFolder, kind: Kind, terms: int) -> None:
        """Raise unless documents made now would be like those that are there: schema, model, kind and number of terms."""
        if self.is_older:
            raise self._too_old("writes")
        self.require_model(model)
        self.require_kind(kind)
        if self.meta["pruning"]["terms"] != terms:
            raise ModelMismatchError(
                f"index {self.index} keeps {self.meta['pruning']['terms']} terms a {kind}, not {terms}: "
                f"use --terms {self.meta['pruning']['terms']}, or make its documents anew with {REBUILD}."
            )

    def require_kind(self, kind: Kind) -> None:
        """Raise unless the documents are of this kind."""
        if self.kind != kind:
            raise LexlipError(f"index {self.index} holds {self.kind}s, not {kind}s: choose another name with --index.")
