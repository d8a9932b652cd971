"""Making an index anew beside the one that serves, and swapping the alias: for another model, other terms, or a clean start.

    claim the next index -> load it -> copy what other runs brought -> group duplicates -> compare -> swap in one `_aliases` call

The index that serves is only read (`rebuild_claim` says how two rebuilds keep apart, `rebuild_checks` what is not lost). What
comes after the load is asked patiently: an hour's work does not end because a node restarts.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile

from lexlip_es.dialects import FieldType
from lexlip_es.duplicates import group_duplicates
from lexlip_es.engines.protocol import Engine, JsonObject
from lexlip_es.errors import LexlipError
from lexlip_es.loading import IndexStore, Run, Source, columns_declared, kind_of, load
from lexlip_es.mappings import IndexMeta, index_meta
from lexlip_es.meta_columns import columns_of, joined
from lexlip_es.names import index_name
from lexlip_es.rebuild_checks import (
    listed,
    of_others,
    refuse_to_lose_captions,
    refuse_to_lose_columns,
    refuse_to_lose_hidden,
    refuse_to_lose_roots,
    refuse_to_shrink,
    refuse_wrong_names,
)
from lexlip_es.rebuild_claim import BEAT_SECONDS, Claim, Serving, claimed
from lexlip_es.report import Report
from lexlip_es.target import is_compressed, keep_lasting_meta, serving_index

LAST_SEARCHES_SECONDS = 5.0  # how long searches that began before the swap may still read the old index before it is deleted
SCANS = 5  # how often the copy of other collections begins, before a server that loses scrolls is given up


def rebuild_index(
    engine: Engine,
    run: Run,
    sources: Sequence[tuple[str, Source]],
    index: str | None = None,
    *,
    field_type: FieldType | None = None,
    write_once: bool | None = None,
    compress: bool | None = None,
    drop_collections: Sequence[str] = (),
    delete_old: bool = False,
    even_if_smaller: bool = False,
    beat_seconds: float = BEAT_SECONDS,
) -> Report:
    """Make the documents of (collection, source) anew in the next index behind an alias, which then serves instead of the old.

    Other collections are copied where model, kind and number of terms stay the same, else they must be among the sources or be
    dropped by name. A stop (`run.stop`) finishes what is begun and leaves the old index serving, and so does every error:
    `LexlipError` for an index that is not there or not ours, another rebuild or another writer, and, unless `even_if_smaller`,
    documents that the engine refuses, captions or columns that would be lost, documents of another root or behind what cannot be
    read, or a collection with far fewer of them.
    field_type, write_once, compress: by default as in the old index; see `open_target`. `run.report.notes` say which
    index serves now and what became of the old one.
    """
    named = [collection for collection, _ in sources]
    kind = kind_of(sources[0][1])
    old = _serving(engine, index_name(index, kind))
    old.meta.require_kind(kind)
    refuse_wrong_names(engine, old, named, drop_collections)
    once = old.meta.write_once if write_once is None else write_once
    packed = is_compressed(old.body) if compress is None else compress
    foreign = of_others([*named, *drop_collections])
    others = engine.count(old.index, foreign)
    columns = _columns(old, sources, copies=others > 0)
    meta = index_meta(run.encoder.model, kind, run.terms, field_type or old.meta.field_type, write_once=once, columns=columns)
    if others:
        _refuse_to_lose_collections(engine, old, meta, run, foreign)
    if not even_if_smaller:
        refuse_to_lose_captions(engine, old, sources)
        refuse_to_lose_columns(engine, old, sources)
        refuse_to_lose_roots(engine, old, sources)
    with claimed(engine, old, meta, run.stop, beat_seconds, compress=packed) as claim:
        hidden: dict[str, Collection[str]] = {}
        for collection, source in sources:
            met = load(replace(run, collection=collection), source, IndexStore(engine, claim.index))
            hidden[collection] = set(met.hidden)
        claim.require()
        _refuse_refusals(old, run, even_if_smaller)
        patient = engine.patient()
        if others and not run.stop.is_set():
            claim.require_undisturbed()
            _copy(patient, claim, foreign, others, run, even_if_smaller)
        if run.stop.is_set():
            claim.require()  # losing it stops a run too
            run.report.interrupted = True
            run.report.notes.append(f"{old.index} goes on serving; nothing was swapped.")
            return run.report
        if kind == "picture":  # before the one segment is made, as an update leaves a deleted document behind
            group_duplicates(patient, claim.index)
        with suppress(LexlipError):  # one segment is only faster, and a proxy may not wait for it
            engine.force_merge(claim.index)
        patient.refresh(claim.index)
        made, had = patient.count(claim.index), patient.count(old.index)
        if not even_if_smaller:
            for collection, paths in hidden.items():
                refuse_to_lose_hidden(patient, old, claim.index, collection, paths)
            refuse_to_shrink(patient, old, claim.index, named)
        claim.require_undisturbed()
        claim.swap()
    run.report.notes.append(f"{old.alias} is now {claim.index} with {made} documents; before, it was {old.index} with {had}.")
    run.report.notes.append(_leave_or_delete(engine.patient(), old, delete_old))
    return run.report


def _serving(engine: Engine, alias: str) -> Serving:
    found = serving_index(engine, alias)
    if found is None:
        raise LexlipError(f"there is no index {alias} to rebuild: make it with lexlip-es index.")
    index, body = found
    meta = IndexMeta.of_any_schema(index, body["mappings"])
    if index == alias:
        raise LexlipError(f"{alias} is an index itself and no alias that could be swapped: index under another name.")
    keep_lasting_meta(engine, index, meta.meta)  # left by a rebuild that crashed just after its swap
    engine.refresh(index)
    return Serving(alias, index, body, meta)


def _columns(old: Serving, sources: Sequence[tuple[str, Source]], copies: bool) -> dict[str, str]:
    """The columns of the next index: those that the sources declare, and where documents are copied, the old ones too."""
    columns: dict[str, str] = {}
    for _, source in sources:
        columns = joined("another source", columns, columns_declared(source))
    return joined(f"index {old.index}", columns_of(old.body["mappings"]), columns) if copies else columns


def _refuse_to_lose_collections(engine: Engine, old: Serving, meta: JsonObject, run: Run, foreign: JsonObject) -> None:
    try:
        if old.meta.is_older:
            raise LexlipError("an older schema cannot be copied.")
        if old.meta.write_once:
            raise LexlipError("terms that are not kept cannot be copied.")
        old.meta.require_same_documents(run.encoder.model, meta["kind"], run.terms)
    except LexlipError:
        raise LexlipError(
            f"{old.index} also holds {listed(engine, old.index, foreign)}, which would be lost, as documents cannot be copied to "
            "another model, schema or number of terms, nor out of a write-once index: rebuild from all folders at once "
            "(--images A --images B), or give a collection up with --drop-collection NAME."
        ) from None


def _refuse_refusals(old: Serving, run: Run, even_if_smaller: bool) -> None:
    failed = run.report.failed
    if failed and not (even_if_smaller and run.report.indexed):
        instead = ", or with --yes without them" if run.report.indexed else ""
        raise LexlipError(
            f"the engine refused {len(failed)} documents, so {old.index} goes on serving: mend that, then rebuild again{instead}."
        )


def _copy(engine: Engine, claim: Claim, foreign: JsonObject, others: int, run: Run, even_if_smaller: bool) -> None:
    """Copy the documents of other collections; those that the engine refuses are in the report, where they are no obstacle."""
    old, refused = claim.old, dict[str, tuple[str, str]]()
    of_what = listed(engine, old.index, foreign)
    on_the_way: dict[str, str] = {}  # id -> path, so that a refusal names what a person knows

    def copies() -> Iterator[JsonObject]:
        for document in takewhile(lambda _: not run.stop.is_set(), _read(engine, old.index, foreign)):
            on_the_way[document["_id"]] = str(document["source"].get("path", document["_id"]))
            yield document

    for result in engine.bulk(claim.index, copies()):
        path = on_the_way.pop(result.id, result.id)
        if not result.ok:
            reason = f"{result.error_type}: {result.reason}"
            refused[result.id] = path, reason
            if not even_if_smaller:
                raise LexlipError(
                    f"{path} could not be copied ({reason}), so {old.index} goes on serving: rebuild "
                    "its collection as well, or go on without it with --yes."
                )
    run.report.failed += refused.values()
    if run.stop.is_set():
        return
    engine.refresh(claim.index)
    done = engine.count(claim.index, foreign)
    if done + len(refused) != others:
        raise LexlipError(f"{done} of {others} documents could be copied, so {old.index} goes on serving: rebuild again.")
    run.report.notes.append(f"{done} documents of other collections were copied from {old.index}: {of_what}.")


def _read(engine: Engine, index: str, query: JsonObject) -> Iterator[JsonObject]:
    """All documents that match, some of them twice where reading had to begin again.

    A scroll cannot be resumed: a page whose answer was lost is gone, and a node that restarts forgets them all. A point in time
    could be, but not every server has one, nor a sort that is unique in it (OpenSearch before 3.3). A document copied twice is
    the same document, by its id, so reading again from the start is all that it takes.
    """
    for left in reversed(range(SCANS)):
        try:
            yield from engine.scan(index, query)
            return
        except LexlipError:
            if not left:
                raise


def _leave_or_delete(engine: Engine, old: Serving, delete_old: bool) -> str:
    if not delete_old:
        return f"{old.index} is kept: point the alias to it to go back, or delete it."
    time.sleep(LAST_SEARCHES_SECONDS)
    try:
        others = sorted(engine.indices(old.index).get(old.index, {}).get("aliases", ()))
        if others:
            return f"{old.index} is kept, as it is also behind {', '.join(others)}."
        engine.delete_index(old.index)
    except LexlipError as error:  # the swap is done, so this is no failure
        return f"{old.index} could not be deleted: {error}"
    return f"{old.index} is deleted."
