"""Making an index anew beside the one that serves, and swapping the alias: for another model, other terms, or a clean start.

    claim the next index -> load it -> copy what other runs brought -> compare -> swap in one `_aliases` call

The index that serves is only read. The next one carries `_meta.lexlip.rebuild`, a claim that its maker renews every few seconds:
a claim that nobody renews was left by a crash, and its index is deleted by the next rebuild, which never takes its name again.
So a maker that only seemed dead writes into nothing that anybody will search, and finds out before it swaps.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain, takewhile
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import quote

from lexlip_es.dialects import FieldType
from lexlip_es.engines.errors import UnknownIndexError
from lexlip_es.engines.protocol import Engine, JsonObject
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.indexing import Run, Source, open_source, send_documents
from lexlip_es.mappings import LOAD_SETTINGS, IndexMeta, index_meta
from lexlip_es.names import index_name, next_index
from lexlip_es.report import Report
from lexlip_es.target import create_for_load, keep_lasting_meta, lexlip_meta, numbered_indices, serving_index, unfinished_rebuilds

BEAT_SECONDS = 5.0  # how often a claim is renewed; one that stays the same for three of these was left by a crash
LAST_SEARCHES_SECONDS = 5.0  # how long searches that began before the swap may still read the old index before it is deleted
FEWEST = 0.8  # share of the old index's documents below which the next one does not serve unless told so


@dataclass(frozen=True)
class _Serving:
    """The index that serves now. `foreign` is a query for those of its documents that no source makes, `others` their number."""

    alias: str
    index: str
    body: JsonObject
    meta: IndexMeta
    foreign: JsonObject
    others: int


def rebuild_index(
    engine: Engine,
    run: Run,
    sources: Sequence[tuple[str, Source]],
    index: str | None = None,
    *,
    field_type: FieldType | None = None,
    delete_old: bool = False,
    even_if_smaller: bool = False,
    beat_seconds: float = BEAT_SECONDS,
) -> Report:
    """Make the documents of (collection, source) anew in the next index behind an alias, which then serves instead of the old.

    Other collections are copied where model, kind and number of terms stay the same, else they must be among the sources. A stop
    (`run.stop`) finishes what is begun and leaves the old index serving, and so does every error: `LexlipError` for an index that
    is not there or not ours, another rebuild under way, documents that the engine refuses, or far fewer of them than before.
    field_type: by default the old index's. `run.report.notes` say which index serves now and what became of the old one.
    """
    named = [collection for collection, _ in sources]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise UsageError(
            f"two sources are both the collection {twice[0]}, where like names would be one: give each its own name."
        )
    kind = sources[0][1].kind
    old = _serving(engine, index_name(index, kind), set(named))
    old.meta.require_kind(kind)
    meta = index_meta(run.encoder.model, kind, run.terms, field_type or old.meta.field_type)
    _refuse_to_lose_collections(old, meta, run)
    with _claim(engine, old, meta, run.stop, beat_seconds) as claim:
        before = _writes(engine, old.index)
        runs = [(replace(run, collection=collection), source) for collection, source in sources]
        send_documents(engine, claim.index, run, chain.from_iterable(source.documents(each) for each, source in runs))
        claim.require()
        if run.report.failed:
            raise LexlipError(
                f"the engine refused {len(run.report.failed)} documents, so {old.index} goes on serving: "
                "mend that, then rebuild again."
            )
        if old.others and not run.stop.is_set():
            _copy(engine, old, claim.index, run.stop)
            run.report.notes.append(f"{old.others} documents of other collections were copied from {old.index}.")
        if run.stop.is_set():
            claim.require()  # losing it stops a run too
            run.report.interrupted = True
            run.report.notes.append(f"{old.index} goes on serving; nothing was swapped.")
            return run.report
        with suppress(LexlipError):  # one segment is only faster, and a proxy may not wait for it
            engine.force_merge(claim.index)
        engine.refresh(claim.index)
        made, had = engine.count(claim.index), engine.count(old.index)
        if made < FEWEST * had and not even_if_smaller:
            raise LexlipError(
                f"the next index has only {made} documents, where {old.index} has {had} and goes on serving: look at what was "
                "left out, or rebuild with --yes if that is meant."
            )
        if _writes(engine, old.index) != before:
            raise LexlipError(
                f"{old.index} was written to meanwhile and goes on serving: rebuild again, when no other run writes."
            )
        claim.swap(old)
    run.report.notes.append(f"{old.alias} is now {claim.index} with {made} documents; before, it was {old.index} with {had}.")
    run.report.notes.append(_leave_or_delete(engine, old, delete_old))
    return run.report


def open_sources(
    pictures: Sequence[Path], texts: Sequence[Path], *, files: Path | None = None, captions: Path | None = None
) -> list[tuple[Source, Path]]:
    """Sources of one kind and their places, as `open_source` opens each; a list of files or captions is for a single one."""
    if (pictures and texts) or not (pictures or texts):
        raise UsageError("rebuild one kind of things at a time: give folders with --images, or files with --texts.")
    if len(pictures) + len(texts) > 1 and (files or captions):
        raise UsageError("--files and --captions say something about one source: leave them out, or rebuild from one.")
    return [
        *(open_source(place, None, files=files, captions=captions) for place in pictures),
        *(open_source(None, place, files=files, captions=captions) for place in texts),
    ]


def _serving(engine: Engine, alias: str, collections: set[str]) -> _Serving:
    found = serving_index(engine, alias)
    if found is None:
        raise LexlipError(f"there is no index {alias} to rebuild: make it with lexlip-es index.")
    index, body = found
    meta = IndexMeta.of_any_schema(index, body["mappings"])
    if index == alias:
        raise LexlipError(f"{alias} is an index itself and no alias that could be swapped: index under another name.")
    keep_lasting_meta(engine, index, meta.meta)  # left by a rebuild that crashed just after its swap
    engine.refresh(index)
    foreign = {"bool": {"must_not": {"terms": {"collection": sorted(collections)}}}}
    return _Serving(alias, index, body, meta, foreign, engine.count(index, foreign))


def _refuse_to_lose_collections(old: _Serving, meta: JsonObject, run: Run) -> None:
    if not old.others:
        return
    try:
        if old.meta.is_older:
            raise LexlipError("an older schema cannot be copied.")
        old.meta.require_same_documents(run.encoder.model, meta["kind"], run.terms)
    except LexlipError:
        raise LexlipError(
            f"{old.index} also holds {old.others} documents of other collections, which would be lost, as they cannot be "
            "copied to another model, schema or number of terms: rebuild from all their folders at once (--images A --images B)."
        ) from None


@dataclass
class _Claim:
    """The next index, while it is ours to make."""

    engine: Engine
    index: str
    meta: JsonObject
    stop: Event

    def held(self) -> bool:
        """Whether the index is there and still ours."""
        return bool(_claim_in(self.engine, self.index).get("id") == self.meta["rebuild"]["id"])

    def require(self) -> None:
        """Raise unless it is."""
        if not self.held():
            raise LexlipError(f"another rebuild took the place of this one, and {self.index} with it: nothing was swapped.")

    def renew(self, ended: Event, every: float) -> None:
        """Show every few seconds that somebody is at work; ends the run when the claim is lost."""
        while not ended.wait(every):
            with suppress(LexlipError):  # a server that is busy for a moment
                if not self.held():
                    return self.stop.set()
                self.meta["rebuild"]["beat"] += 1
                self.engine.put_mapping(self.index, {"_meta": {"lexlip": self.meta}})

    def swap(self, old: _Serving) -> None:
        """Give the index its usual settings, and the alias to it: in one step, which fails if the old one serves no more."""
        self.require()
        if old.index not in self.engine.indices(old.alias):
            raise LexlipError(
                f"{old.alias} no longer stands for {old.index}: nothing was swapped; rebuild again if that is not meant."
            )
        self.engine.put_settings(self.index, {"index": self.meta["load"]})
        alias = {"alias": old.alias}
        kept = old.body["aliases"].get(old.alias, {})  # a filter or a routing that somebody gave it
        self.engine.update_aliases(
            [
                {"remove": {"index": old.index, **alias, "must_exist": True}},
                {"add": {"index": self.index, **alias, **kept}},
            ]
        )

    def drop(self) -> None:
        """Delete the index, if it is ours; where the engine is gone, the next rebuild does it."""
        with suppress(LexlipError):
            if self.held():
                self.engine.delete_index(self.index)


@contextmanager
def _claim(engine: Engine, old: _Serving, meta: JsonObject, stop: Event, every: float) -> Iterator[_Claim]:
    """Make the next index and keep the claim on it alive; in the end the claim goes, and the index too unless it serves."""
    beside = numbered_indices(engine, old.alias)  # asked once: who claims an index after this has taken the next one's name
    abandoned = unfinished_rebuilds(beside)
    _require_abandoned(engine, old.alias, abandoned, every)
    index = next_index(old.alias, [name for name, body in beside.items() if lexlip_meta(body)])
    if engine.indices(index):
        raise LexlipError(
            f"the next index would be {index}, but another one has that name: move it away, or index under another name."
        )
    for name in abandoned:
        if engine.indices(name).get(name, {}).get("aliases"):
            raise LexlipError(f"{name} came to serve meanwhile: rebuild again if that is still wanted.")
        engine.delete_index(name)
    usual = old.body["settings"]["index"]
    shards = int(usual.get("number_of_shards", 1))
    marked = {**meta, "rebuild": {"id": uuid.uuid4().hex, "beat": 0}}
    claim = _Claim(
        engine, index, create_for_load(engine, index, marked, shards=shards, settings=_search_settings(old.meta, usual)), stop
    )
    ended = Event()
    beats = Thread(target=claim.renew, args=(ended, every), daemon=True, name="rebuild")
    beats.start()
    try:
        yield claim
    except UnknownIndexError:
        claim.require()  # the sentence that says why it is gone
        raise
    finally:
        ended.set()
        beats.join()
        _clear(engine, claim, old.alias)


def _clear(engine: Engine, claim: _Claim, alias: str) -> None:
    with suppress(LexlipError):
        if claim.index in engine.indices(alias):
            keep_lasting_meta(engine, claim.index, claim.meta)
        else:
            claim.drop()


def _require_abandoned(engine: Engine, alias: str, unfinished: dict[str, JsonObject], every: float) -> None:
    """Raise where somebody renews the claim on one of these indices: clocks of other machines are not asked, only watched for."""
    if not unfinished:
        return
    time.sleep(3 * every)
    for name, body in unfinished.items():
        if _claim_in(engine, name) != lexlip_meta(body)["rebuild"]:
            raise LexlipError(f"another rebuild of {alias} is under way (into {name}): wait until it is done.")


def _claim_in(engine: Engine, index: str) -> JsonObject:
    body = engine.indices(index).get(index)
    found = lexlip_meta(body).get("rebuild") if body else None
    return found if isinstance(found, dict) else {}


def _search_settings(meta: IndexMeta, usual: JsonObject) -> dict[str, Any]:
    """What the old index has been given for refresh and replicas, for the next one; null is the server's default."""
    if "load" in meta.meta:
        saved: dict[str, Any] = meta.meta["load"]
        return saved
    found = {name: usual.get(name) for name in LOAD_SETTINGS}
    if found["auto_expand_replicas"] not in (None, "false"):
        found["number_of_replicas"] = None  # the server's own choice, not somebody's
    return found


def _writes(engine: Engine, index: str) -> list[tuple[str, int]]:
    """How many writes each shard has seen: each addition, change and deletion has a number of its own."""
    answer = engine.request("GET", f"/{quote(index, safe='')}/_stats/docs", params={"level": "shards"}, index=index)
    shards = answer.get("indices", {}).get(index, {}).get("shards")
    if not shards:
        raise UnknownIndexError(index, "the server")
    return sorted((number, max(copy["seq_no"]["max_seq_no"] for copy in copies)) for number, copies in shards.items())


def _copy(engine: Engine, old: _Serving, index: str, stop: Event) -> None:
    copies = takewhile(lambda _: not stop.is_set(), engine.scan(old.index, old.foreign))
    done = 0
    for result in engine.bulk(index, copies):
        if not result.ok:
            raise LexlipError(
                f"document {result.id} could not be copied ({result.error_type}: {result.reason}), so {old.index} goes on "
                "serving: rebuild its collection as well."
            )
        done += 1
    if done != old.others and not stop.is_set():
        raise LexlipError(f"{done} of {old.others} documents could be copied, so {old.index} goes on serving: rebuild again.")


def _leave_or_delete(engine: Engine, old: _Serving, delete_old: bool) -> str:
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
