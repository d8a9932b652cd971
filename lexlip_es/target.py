"""The index that a run writes into: `NAME-000001` behind the alias `NAME`, made for the first load and left in peace afterwards.

Refresh and replicas are changed only while nobody searches the index, that is before the alias points to it; the originals
stand in `_meta.lexlip.load`, so that a run after a crash restores them (design contract 8). `rebuilding` makes the next index
beside the one that serves, out of the same parts.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from lexlip_es.dialects import FieldType, family_for
from lexlip_es.engines.protocol import Engine, JsonObject
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.mappings import COMPRESSED, LOAD_SETTINGS, REBUILD, IndexMeta, index_body, index_meta
from lexlip_es.meta_columns import columns_of, joined, meta_field
from lexlip_es.model_folder import ModelFolder
from lexlip_es.names import Kind, alias_of, first_index

PASSING = ("load", "rebuild")  # what `_meta.lexlip` says only while an index is being made


@dataclass
class Target:
    """An index to write into.

    `loading` means that it is new and the alias does not point to it yet; `complete`, for the writer to say, that more is not to
    be expected soon. `uuid` is the server's own name for it: an index that was deleted and came anew has another. `columns` are
    those that its mapping has: name -> type.
    """

    alias: str
    index: str
    meta: dict[str, Any]
    loading: bool
    uuid: str | None
    complete: bool = True
    columns: dict[str, str] = field(default_factory=dict)


@contextmanager
def open_target(
    engine: Engine,
    alias: str,
    model: ModelFolder,
    kind: Kind,
    terms: int,
    *,
    field_type: FieldType | None = None,
    write_once: bool | None = None,
    compress: bool | None = None,
    columns: Mapping[str, str] | None = None,
    shards: int = 1,
) -> Iterator[Target]:
    """The index behind the alias, created where there is none; on leaving, a new one is made searchable and the alias set.

    field_type: what `terms` are in a new index, by default `rank_features`; write_once: whether its `_source` leaves them out,
    compress: whether it is packed tightly, by default neither. An index that is there must be as asked for; None asks for
    nothing. columns: what `meta` shall have, name -> type; an index that is there gets those that it lacks. A load that was
    interrupted is taken up again.

    Raises `LexlipError` for a foreign index, another kind of documents, a column of another type, an alias over several indices,
    or one that is being rebuilt, and where somebody deleted or replaced the index meanwhile; `ModelMismatchError` for another
    model or number of terms, `UsageError` for a field that the server lacks.
    """

    def find() -> Target | None:
        return find_target(engine, alias, model, kind, terms, field_type, write_once, compress, columns)

    target = find()
    if target is None:
        meta = index_meta(model, kind, terms, field_type or "rank_features", write_once=bool(write_once), columns=columns)
        target = _create(engine, alias, meta, shards, bool(compress)) or find()
        if target is None:
            raise LexlipError(f"{first_index(alias)} was made by another run and is gone again: index once more.")
    _add_columns(engine, target, columns or {})
    try:
        yield target
    except LexlipError as error:
        if (loss := _loss(engine, target)) is not None:
            raise loss from error
        raise
    # Not in a `finally`: after an error the engine may be gone, and a load that did not end must not look complete. The next
    # run finds it by its name and its `_meta.lexlip.load`, and ends it.
    engine = engine.patient()
    if target.loading:
        _publish(engine, target)
    else:
        engine.refresh(target.index)
        if target.index not in engine.indices(alias):
            raise LexlipError(f"{alias} was rebuilt meanwhile and {target.index} serves no more: index once more.")
        keep_lasting_meta(engine, target.index, target.meta)  # a rebuild may have crashed just after its swap


def serving_index(engine: Engine, alias: str) -> tuple[str, JsonObject] | None:
    """The one index that a name stands for and its {aliases, mappings, settings}, or None.

    Raises `LexlipError` for an alias over several indices, `UsageError` for the name of an index behind an alias.
    """
    serving = engine.indices(alias)
    if len(serving) > 1:
        raise LexlipError(f"alias {alias} stands for {len(serving)} indices, so it is unclear where to write: name another one.")
    if alias in serving and alias_of(alias):
        raise UsageError(f"{alias} is an index behind an alias: write into --index {alias_of(alias)}.")
    return next(iter(serving.items()), None)


def numbered_indices(engine: Engine, alias: str) -> dict[str, JsonObject]:
    """All indices named `ALIAS-NNNNNN`, whoever made them."""
    return {name: body for name, body in engine.indices(f"{alias}-*").items() if alias_of(name) == alias}


def unfinished_rebuilds(numbered: Mapping[str, JsonObject]) -> dict[str, JsonObject]:
    """Those of these indices that a rebuild is making, or that one which crashed has left: claimed, and behind no alias."""
    return {name: body for name, body in numbered.items() if not body["aliases"] and "rebuild" in lexlip_meta(body)}


def lexlip_meta(body: JsonObject) -> JsonObject:
    """`_meta.lexlip` of an index's {mappings, ...}; empty for an index that is not ours."""
    found = body["mappings"].get("_meta", {}).get("lexlip")
    return found if isinstance(found, dict) else {}


def create_for_load(
    engine: Engine,
    index: str,
    meta: Mapping[str, Any],
    *,
    shards: int = 1,
    compress: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Make an index with refresh off and no replicas, and give back its `_meta.lexlip`, in which `load` keeps the usual settings.

    settings: what differs from the template's usual ones, null for the server's default.
    """
    family = family_for(engine.server, meta["field_type"])
    body = index_body(meta, family=family, shards=shards, server=engine.server, compress=compress)
    usual = body["settings"]["index"] | dict(settings or {})
    # null restores the server's default of a setting that the template does not name
    loading = {**meta, "load": {name: usual.get(name) for name in LOAD_SETTINGS}}
    body["mappings"]["_meta"] = {"lexlip": loading}
    body["settings"]["index"] |= LOAD_SETTINGS
    engine.create_index(index, body)
    return loading


def point_alias(engine: Engine, alias: str, index: str, actions: Sequence[Mapping[str, Any]]) -> None:
    """Carry out the actions that make the alias stand for the index, once more where an answer was lost and nothing was done."""
    try:
        engine.update_aliases(actions)
    except LexlipError:
        if index not in engine.indices(alias):
            engine.update_aliases(actions)


def keep_lasting_meta(engine: Engine, index: str, meta: Mapping[str, Any]) -> None:
    """Take out of `_meta.lexlip` what was true only while the index was being made."""
    if any(name in meta for name in PASSING):
        lasting = {key: value for key, value in meta.items() if key not in PASSING}
        engine.put_mapping(index, {"_meta": {"lexlip": lasting}})


def find_target(
    engine: Engine,
    alias: str,
    model: ModelFolder,
    kind: Kind,
    terms: int,
    field_type: FieldType | None = None,
    write_once: bool | None = None,
    compress: bool | None = None,
    columns: Mapping[str, str] | None = None,
) -> Target | None:
    """The index that `open_target` would write into, or None where it would make one; raises as it does."""
    serving = serving_index(engine, alias)
    for index, body in [serving] if serving else engine.indices(first_index(alias)).items():
        meta = IndexMeta.of(index, body["mappings"])
        meta.require_same_documents(model, kind, terms)
        meta.require_field_type(field_type)
        meta.require_write_once(write_once)
        if compress not in (None, is_compressed(body)):
            was, other = ("with", "--no-compress") if is_compressed(body) else ("without", "--compress")
            raise LexlipError(
                f"index {index} was made {was} --compress: leave out {other}, or make it anew with {REBUILD} {other}."
            )
        for unfinished in unfinished_rebuilds(numbered_indices(engine, alias)) if serving else ():
            raise LexlipError(
                f"{alias} is being rebuilt (into {unfinished}), which this run would not reach: wait until that is done, or, "
                f"if it crashed, run {REBUILD} again or delete {unfinished}."
            )
        has = columns_of(body["mappings"])
        joined(f"index {index}", has, columns or {})
        return Target(alias, index, meta.meta, loading=not serving, uuid=_uuid(body), columns=has)
    return None


def is_compressed(body: JsonObject) -> bool:
    """Whether an index, by its {settings, ...}, is packed tightly."""
    return bool(body["settings"]["index"].get("codec") == COMPRESSED)


def _create(engine: Engine, alias: str, meta: Mapping[str, Any], shards: int, compress: bool) -> Target | None:
    """A new first index; None where another run has made one in this moment."""
    index = first_index(alias)
    try:
        made = create_for_load(engine, index, meta, shards=shards, compress=compress)
    except LexlipError:
        if index not in engine.indices(index):
            raise
        return None
    uuid = _uuid(engine.indices(index).get(index, {}))
    return Target(alias, index, made, loading=True, uuid=uuid, columns=dict(made.get("columns", {})))


def _add_columns(engine: Engine, target: Target, declared: Mapping[str, str]) -> None:
    """Also where it serves: fields that no document has yet change nothing for those who search."""
    columns = {**target.columns, **declared}
    if declared and (columns != target.columns or columns != target.meta.get("columns")):
        target.columns = target.meta["columns"] = columns
        meta = {"lexlip": target.meta}
        engine.put_mapping(target.index, {"properties": {"meta": meta_field(declared)}, "_meta": meta})


def _publish(engine: Engine, target: Target) -> None:
    if _served_already(engine, target):  # by another run that loaded into it too, so its settings are those of a serving index
        return engine.refresh(target.index)
    if target.meta.get("load"):
        engine.put_settings(target.index, {"index": target.meta["load"]})
        keep_lasting_meta(engine, target.index, target.meta)
    engine.refresh(target.index)
    point_alias(engine, target.alias, target.index, [{"add": {"index": target.index, "alias": target.alias}}])
    if target.complete:
        with suppress(LexlipError):  # the index serves already; one segment is only faster, and a proxy may not wait for it
            engine.force_merge(target.index)


def _served_already(engine: Engine, target: Target) -> bool:
    """Whether the alias stands for the index; raises where it is no longer the index that was loaded, or the alias another's."""
    if (loss := _loss(engine, target)) is not None:
        raise loss
    serving = sorted(engine.indices(target.alias))
    if serving and serving != [target.index]:
        raise LexlipError(
            f"{target.alias} came to stand for {', '.join(serving)} while {target.index} was loaded, which does not serve: "
            f"index once more, and delete {target.index} unless another run needs it."
        )
    return bool(serving)


def _loss(engine: Engine, target: Target) -> LexlipError | None:
    """What to raise where the index is no longer the one that was found or made; None where it is, or nobody knows.

    A bulk request makes an index that is missing (`action.auto_create_index`), with floats where terms should be, or by our own
    template; both engines lack a flag against that for an index without an alias. So its identity is compared.
    """
    try:
        body = engine.indices(target.index).get(target.index)
    except LexlipError:
        return None
    if body is not None and _uuid(body) == target.uuid and lexlip_meta(body):
        return None
    then = f" and something else came in its place: delete {target.index}, then" if body is not None else ":"
    return LexlipError(f"{target.index} was deleted while it was loaded{then} index once more, as what was sent before is lost.")


def _uuid(body: JsonObject) -> str | None:
    found = body.get("settings", {}).get("index", {}).get("uuid")
    return None if found is None else str(found)
