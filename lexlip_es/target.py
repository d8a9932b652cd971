"""The index that a run writes into: `NAME-000001` behind the alias `NAME`, made for the first load and left in peace afterwards.

Refresh and replicas are changed only while nobody searches the index, that is before the alias points to it; the originals
stand in `_meta.lexlip.load`, so that a run after a crash restores them (design contract 8).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from lexlip_es.dialects import FieldType, family_for
from lexlip_es.engines.protocol import Engine
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.mappings import LOAD_SETTINGS, IndexMeta, index_body, index_meta
from lexlip_es.model_folder import ModelFolder
from lexlip_es.names import Kind, alias_of, first_index


@dataclass
class Target:
    """An index to write into.

    `loading` means that it is new and the alias does not point to it yet; `complete`, for the writer to say, that more is not to
    be expected soon.
    """

    alias: str
    index: str
    meta: dict[str, Any]
    loading: bool
    complete: bool = True


@contextmanager
def open_target(
    engine: Engine,
    alias: str,
    model: ModelFolder,
    kind: Kind,
    terms: int,
    *,
    field_type: FieldType | None = None,
    shards: int = 1,
) -> Iterator[Target]:
    """The index behind the alias, created where there is none; on leaving, a new one is made searchable and the alias set.

    field_type: what `terms` are in a new index, by default `rank_features`; one that is there must not have another. A load that
    was interrupted is taken up again. Raises `LexlipError` for a foreign index, another kind of documents, or an alias over
    several indices, `ModelMismatchError` for another model or number of terms, `UsageError` for a field that the server lacks.
    """
    target = _find(engine, alias, model, kind, terms, field_type, shards)
    yield target
    # Not in a `finally`: after an error the engine may be gone, and a load that did not end must not look complete. The next
    # run finds it by its name and its `_meta.lexlip.load`, and ends it.
    if target.loading:
        _publish(engine, target)
    else:
        engine.refresh(target.index)


def _find(
    engine: Engine, alias: str, model: ModelFolder, kind: Kind, terms: int, field_type: FieldType | None, shards: int
) -> Target:
    serving = engine.indices(alias)
    if len(serving) > 1:
        raise LexlipError(f"alias {alias} stands for {len(serving)} indices, so it is unclear where to write: name another one.")
    if alias in serving and alias_of(alias):
        raise UsageError(f"{alias} is an index behind an alias: write into --index {alias_of(alias)}.")
    for index, body in (serving or engine.indices(first_index(alias))).items():
        meta = IndexMeta.of(index, body["mappings"])
        meta.require_same_documents(model, kind, terms)
        meta.require_field_type(field_type)
        return Target(alias, index, meta.meta, loading=not serving)
    field_of_new = field_type or "rank_features"
    meta_of_new = index_meta(model, kind, terms, field_of_new)
    body = index_body(meta_of_new, family=family_for(engine.server, field_of_new), shards=shards, server=engine.server)
    usual = body["settings"]["index"]
    # null restores the server's default of a setting that the template does not name
    meta_of_new["load"] = {name: usual.get(name) for name in LOAD_SETTINGS}
    usual |= LOAD_SETTINGS
    engine.create_index(first_index(alias), body)
    return Target(alias, first_index(alias), meta_of_new, loading=True)


def _publish(engine: Engine, target: Target) -> None:
    saved = target.meta.get("load")
    if saved:
        engine.put_settings(target.index, {"index": saved})
        usual = {key: value for key, value in target.meta.items() if key != "load"}
        engine.put_mapping(target.index, {"_meta": {"lexlip": usual}})
    engine.refresh(target.index)
    engine.update_aliases([{"add": {"index": target.index, "alias": target.alias}}])
    if target.complete:
        with suppress(LexlipError):  # the index serves already; one segment is only faster, and a proxy may not wait for it
            engine.force_merge(target.index)
