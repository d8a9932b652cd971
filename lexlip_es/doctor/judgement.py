"""What the doctor makes of the facts: pure functions, facts in, lines out.

A failure is what keeps searches from being right or possible, or a full disk, which nobody wants; what only keeps new documents
out and may be meant so, or could go wrong later, is a warning.
"""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from lexlip_es.dialects import FIELD_OF, FieldType, QueryForm, dialect_for, family_for
from lexlip_es.doctor.disks import disk_lines
from lexlip_es.doctor.facts import Facts, Indices
from lexlip_es.doctor.lines import Line, failure, ok, warning
from lexlip_es.engines.cluster import CLAUSE_LIMIT
from lexlip_es.engines.protocol import JsonObject, ServerInfo
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.mappings import REBUILD, IndexMeta, index_body, keeps_no_terms
from lexlip_es.target import lexlip_meta

_OLDEST = {"opensearch": (2, 19), "elasticsearch": (7, 17)}  # what the tests run


def judge(facts: Facts) -> Iterator[Line]:
    """Every line, in the order in which a person would look."""
    yield _server(facts.server, facts.address)
    yield from _features(facts)
    yield from _rights(facts)
    yield from _index(facts)
    yield from _beside(facts)
    yield from _clauses(facts)
    yield from _cluster(facts)
    yield from disk_lines(facts.settings, facts.disks)


def _server(server: ServerInfo, address: str) -> Line:
    said = f"{server.display} answers at {address}"
    oldest = _OLDEST.get(server.product, ())
    if server.version < oldest and server.number != "serverless":
        return warning(
            "server", f"{said}, which is older than what is tested: upgrade it to {'.'.join(map(str, oldest))} or later."
        )
    return ok("server", f"{said}.")


def _features(facts: Facts) -> Iterator[Line]:
    forms = _known_forms(facts)
    fields = [field for field in get_args(FieldType) if any(FIELD_OF[form] == field for form in forms)]
    if not fields:
        yield failure(
            "features",
            "the server has neither rank_features (module mapper-extras) nor sparse_vector fields: use a full distribution.",
        )
        return
    said = f"field types {' and '.join(fields)}; query forms {', '.join(forms)}"
    if isinstance(facts.parts, LexlipError):
        yield warning(
            "features",
            f"{said}, as the version says, since this user may not list the server's modules: --parity proves them.",
        )
    elif "rank_features" not in fields:
        yield warning("features", f"{said}: index with --field-type sparse_vector, since rank_features are missing here.")
    else:
        yield ok("features", f"{said}.")


def _known_forms(facts: Facts) -> list[QueryForm]:
    """The query forms that the version has and for which no module is missing."""
    parts = None if isinstance(facts.parts, LexlipError) else _part_names(facts.parts)
    forms = []
    for form in get_args(QueryForm):
        try:
            dialect_for(facts.server, FIELD_OF[form], form)
        except UsageError:
            continue
        if parts is None:
            known = form != "neural_sparse"  # a plugin, which few servers have
        else:
            known = FIELD_OF[form] != "rank_features" or "mapper-extras" in parts
            known = known and (form != "neural_sparse" or "opensearch-neural-search" in parts)
        if known:
            forms.append(form)
    return forms


def _part_names(parts: JsonObject) -> set[str]:
    nodes = parts.get("nodes")
    return {
        str(part.get("name"))
        for node in (nodes.values() if isinstance(nodes, dict) else ())
        for kind in ("modules", "plugins")
        for part in node.get(kind, ())
    }


def _rights(facts: Facts) -> Iterator[Line]:
    if facts.may.get("search") is False:
        yield failure("permissions", f"this user may not search {facts.name}: grant read and view_index_metadata on it.")
        return
    missing = [deed for deed, allowed in facts.may.items() if not allowed]
    words = {"write": "write documents", "create": "make an index", "alias": "set an alias", "search": "search"}
    if missing:
        yield warning(
            "permissions",
            f"this user may not {' or '.join(words[deed] for deed in missing)}, which searching does not need: to index, grant "
            f"read, write and manage on {facts.name}*.",
        )
    else:
        yield ok("permissions", f"this user may {', '.join(words[deed] for deed in facts.may)}.")


def _index(facts: Facts) -> Iterator[Line]:
    """The index that serves, its settings, its mapping and the model it was made with."""
    name, found = facts.name, facts.serving
    if isinstance(found, LexlipError):
        yield failure("index", str(found))
    elif len(found) > 1:
        yield failure(
            "index", f"{name} stands for {len(found)} indices ({', '.join(sorted(found))}): leave the alias one of them."
        )
    elif not found and facts.may.get("search") is False:
        yield warning("index", f"whether there is an index {name} is hidden from this user: see permissions.")
    elif not found:
        yield warning("index", f"nothing is behind {name} yet: make it with `lexlip-es index --images DIR --index {name}`.")
        if isinstance(facts.model, LexlipError):
            yield failure("model", str(facts.model))
    else:
        index, body = next(iter(found.items()))
        behind = f"alias {name} stands for {index}" if index != name else f"{name} is an index without an alias"
        yield ok("index", f"{behind}.")
        settings = body["settings"].get("index", {})
        if settings.get("verified_before_close") == "true":
            yield failure("index", f"{index} is closed: open it with POST /{index}/_open.")
        else:
            yield _health(facts, index)
        yield from _blocks(index, settings)
        yield from _settings(facts, index, settings)
        yield from _documents(facts, index, body["mappings"])


def _health(facts: Facts, index: str) -> Line:
    health = facts.health
    if health is None or isinstance(health, LexlipError):
        return warning("health", f"the health of {index} is not known ({health}): grant the user `monitor`.")
    status = health.get("status")
    if status == "red":
        return failure(
            "health", f"{index} is red, a part of it is on no node that runs: GET /_cluster/allocation/explain says why."
        )
    if status == "yellow":
        return warning(
            "health",
            f"{index} is yellow, a copy has no node to be on: add a node, or set number_of_replicas to what the nodes can hold.",
        )
    return ok("health", f"{index} is {status}.")


def _blocks(index: str, settings: Mapping[str, Any]) -> Iterator[Line]:
    blocks = settings.get("blocks", {})
    on = [name for name, value in blocks.items() if str(value) == "true"] if isinstance(blocks, dict) else []
    for block in on:
        unlock = f'PUT /{index}/_settings {{"index.blocks.{block}": null}}'
        if block == "read":
            yield failure("blocks", f"{index} has a read block, so nobody can search it: lift it with {unlock}.")
        elif block == "read_only_allow_delete":
            yield failure("blocks", f"{index} takes no documents since a disk was full: free disk space, then {unlock}.")
        else:
            yield warning("blocks", f"{index} has a {block} block, so it takes no documents: lift it with {unlock}.")
    if not on:
        yield ok("blocks", f"nothing blocks {index}.")


def _settings(facts: Facts, index: str, settings: Mapping[str, Any]) -> Iterator[Line]:
    """Refresh and replicas of an index that serves, as a crashed load could have left them."""
    wrong = False
    if str(settings.get("refresh_interval", "")).startswith("-1"):
        wrong = True
        yield warning(
            "settings",
            f'{index} never refreshes, so new documents stay unseen: PUT /{index}/_settings {{"index.refresh_interval": null}}.',
        )
    nodes = facts.cluster.get("number_of_data_nodes") if isinstance(facts.cluster, dict) else None
    expands = str(settings.get("auto_expand_replicas", "false"))
    if settings.get("number_of_replicas") == "0" and expands == "false" and isinstance(nodes, int) and nodes > 1:
        wrong = True
        yield warning(
            "settings",
            f'{index} has no copy on any of {nodes} nodes: PUT /{index}/_settings {{"index.auto_expand_replicas": "0-1"}}.',
        )
    if not wrong:
        yield ok("settings", "refresh and replicas are as they should be.")


def _documents(facts: Facts, index: str, mappings: JsonObject) -> Iterator[Line]:
    """Whether the documents are ours, in fields as we make them, and of the model at hand."""
    try:
        meta = IndexMeta.of(index, mappings)
    except LexlipError as error:
        yield failure("mapping", str(error))
        return
    yield from _mapping(facts, meta, mappings)
    if keeps_no_terms(mappings):
        yield warning(
            "write-once",
            f"{meta.index} keeps no terms in _source, so every _update, _reindex and _update_by_query loses them without an "
            "error (and a rebuild needs all files): let nothing but lexlip-es write to it.",
        )
    if isinstance(facts.model, LexlipError):
        yield failure("model", str(facts.model))
        return
    try:
        meta.require_model(facts.model)
        yield ok("model", f"{index} was made with {facts.model.label}.")
    except LexlipError as error:
        yield failure("model", str(error))
    if meta.meta.get("vocabulary_hash") == facts.model.lexicon.hash:
        yield ok("vocabulary", f"model and index share a vocabulary of {len(facts.model.lexicon):,} pieces.")
    else:
        yield failure("vocabulary", f"{index} has terms of another vocabulary than the model: make it anew with {REBUILD}.")


def _mapping(facts: Facts, meta: IndexMeta, mappings: JsonObject) -> Iterator[Line]:
    index, there = meta.index, mappings.get("properties", {})
    try:
        family = family_for(facts.server, meta.field_type)
    except UsageError as error:
        yield failure("mapping", str(error))
        return
    wanted = index_body(meta.meta, family=family, server=facts.server)["mappings"]
    terms, expected = there.get("terms", {}), wanted["properties"]["terms"]
    if terms.get("type") != expected["type"]:
        yield failure(
            "mapping",
            f"terms of {index} are {terms.get('type', 'missing')} and not {expected['type']}, so no query finds them: "
            f"make it anew with {REBUILD}.",
        )
    elif expected.get("index_options", {}).get("prune") is False and terms.get("index_options", {}).get("prune") is not False:
        yield failure("mapping", f"{index} prunes its sparse vectors, which makes rankings wrong: make it anew with {REBUILD}.")
    others = [name for name, field in wanted["properties"].items() if name != "terms" and _type(there, name) != _type_of(field)]
    if others:
        yield warning(
            "mapping",
            f"{index} lacks or has otherwise {', '.join(others)}, so documents with them may be refused: "
            f"make it anew with {REBUILD}.",
        )
    if not others and terms.get("type") == expected["type"]:
        yield ok(
            "mapping", f"{index} is ours (schema {meta.meta.get('schema')}, {meta.kind}s), with terms as {expected['type']}."
        )


def _type(properties: Mapping[str, Any], name: str) -> str | None:
    return _type_of(properties[name]) if name in properties else None


def _type_of(field: Mapping[str, Any]) -> str:
    return str(field.get("type", "object"))


def _beside(facts: Facts) -> Iterator[Line]:
    """What crashed runs have left: a load that nobody searches yet, a rebuild, an index of the parity check."""
    serving: Indices = {} if isinstance(facts.serving, LexlipError) else facts.serving
    beside: Indices = {} if isinstance(facts.beside, LexlipError) else facts.beside
    for index, body in beside.items():
        meta = lexlip_meta(body)
        if index in serving or body["aliases"]:
            continue
        if "rebuild" in meta:
            yield warning(
                "crash", f"a rebuild into {index} is under way or has crashed: if so, run {REBUILD} again, or delete {index}."
            )
        elif "load" in meta:
            yield warning(
                "crash",
                f"{index} is being loaded or its load has crashed, with refresh and replicas off: "
                f"the next `lexlip-es index --index {facts.name}` ends it and restores both.",
            )
    for index in () if isinstance(facts.left, LexlipError) else facts.left:
        yield warning("crash", f"{index} is under way or left over from a parity check that was killed: if so, DELETE /{index}.")


def _clauses(facts: Facts) -> Iterator[Line]:
    if isinstance(facts.settings, LexlipError):
        yield _unread("clauses", facts.settings)
        return
    limit = facts.settings.get(CLAUSE_LIMIT)
    pruning = None if isinstance(facts.model, LexlipError) else facts.model.pruning
    need = 64 if pruning is None else max(pruning.query_terms, pruning.picture_terms)
    if facts.server.product == "elasticsearch" and facts.server.version >= (8,):
        yield ok("clauses", "the server derives its limit of clauses from its memory.")
    elif limit is not None and int(limit) < need:
        yield warning(
            "clauses",
            f"the server takes {limit} clauses and a query may have {need}, so light terms are cut: raise {CLAUSE_LIMIT}.",
        )
    else:
        yield ok("clauses", f"the server takes {limit or 'enough'} clauses, a query has at most {need}.")


def _cluster(facts: Facts) -> Iterator[Line]:
    if isinstance(facts.cluster, dict) and facts.cluster.get("status") == "red":
        yield warning("cluster", "the cluster is red, some index is in trouble: GET /_cluster/health?level=indices says which.")
    if isinstance(facts.settings, dict):
        for name in ("cluster.blocks.read_only", "cluster.blocks.read_only_allow_delete"):
            if str(facts.settings.get(name)) == "true":
                yield warning("cluster", f"{name} is set, so no index can change: take it back with PUT /_cluster/settings.")


def _unread(subject: str, error: LexlipError) -> Line:
    return warning(subject, f"not looked at, since the server did not say: {error}")
