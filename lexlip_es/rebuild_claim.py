"""The claim of a rebuild on the index that it makes: who else sees it keeps off, and who lost it finds out before the swap.

The next index carries `_meta.lexlip.rebuild`, which its maker renews every few seconds: a claim that nobody renews was left by a
crash, and its index is deleted by the next rebuild, which never takes its name again. So a maker that only seemed dead writes
into nothing that anybody will search.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any
from urllib.parse import quote

from lexlip_es.engines.errors import UnknownIndexError
from lexlip_es.engines.protocol import Engine, JsonObject
from lexlip_es.errors import LexlipError
from lexlip_es.mappings import LOAD_SETTINGS, IndexMeta
from lexlip_es.names import next_index
from lexlip_es.target import (
    create_for_load,
    keep_lasting_meta,
    lexlip_meta,
    numbered_indices,
    point_alias,
    unfinished_rebuilds,
)

BEAT_SECONDS = 5.0  # how often a claim is renewed; one that stays the same for three of these was left by a crash


@dataclass(frozen=True)
class Serving:
    """The index that serves now: `body` is its {aliases, mappings, settings}, `meta` its `_meta.lexlip`."""

    alias: str
    index: str
    body: JsonObject
    meta: IndexMeta


@dataclass
class Claim:
    """The next index, while it is ours to make. `before` are the writes that the old one had seen when the rebuild began."""

    engine: Engine
    old: Serving
    index: str
    meta: JsonObject
    stop: Event
    before: dict[str, int]
    disturbed: bool = False

    def require(self, engine: Engine | None = None) -> None:
        """Raise unless the next index is there and still ours, and nobody is known to have written to the old one."""
        if not self._held(engine or self.engine.patient()):
            raise LexlipError(f"another rebuild took the place of this one, and {self.index} with it: nothing was swapped.")
        if self.disturbed:
            raise LexlipError(
                f"{self.old.index} was written to meanwhile and goes on serving: rebuild again, when no other run writes."
            )

    def require_undisturbed(self) -> None:
        """Ask now whether somebody wrote to the old index, and raise as `require` does."""
        self.disturbed = self.disturbed or _writes(self.engine.patient(), self.old.index) != self.before
        self.require()

    def renew(self, ended: Event, every: float) -> None:
        """Show every few seconds that somebody is at work; ends the run when the claim is lost, or the work was for nothing."""
        while not ended.wait(every):
            with suppress(LexlipError):  # a server that is busy for a moment
                if not self._held(self.engine):
                    return self.stop.set()
                self.meta["rebuild"]["beat"] += 1
                self.engine.put_mapping(self.index, {"_meta": {"lexlip": self.meta}})
                now = _writes(self.engine, self.old.index)
                # A shard that is on no node for a moment is no write.
                if any(now.get(shard, 0) > seen for shard, seen in self.before.items()):
                    self.disturbed = True
                    self.stop.set()

    def swap(self) -> None:
        """Give the index its usual settings, and the alias to it: in one step, which fails if the old one serves no more."""
        engine = self.engine.patient()
        self.require()
        if self.old.index not in engine.indices(self.old.alias):
            raise LexlipError(
                f"{self.old.alias} no longer stands for {self.old.index}: nothing was swapped; rebuild again if that is not "
                "meant."
            )
        engine.put_settings(self.index, {"index": self.meta["load"]})
        alias = {"alias": self.old.alias}
        kept = self.old.body["aliases"].get(self.old.alias, {})  # a filter or a routing that somebody gave it
        actions = [
            {"remove": {"index": self.old.index, **alias, "must_exist": True}},
            {"add": {"index": self.index, **alias, **kept}},
        ]
        point_alias(engine, self.old.alias, self.index, actions)

    def drop(self) -> None:
        """Delete the index, if it is ours; where the engine is gone, the next rebuild does it."""
        with suppress(LexlipError):
            if self._held(self.engine):
                self.engine.delete_index(self.index)

    def _held(self, engine: Engine) -> bool:
        return bool(_claim_in(engine, self.index).get("id") == self.meta["rebuild"]["id"])


@contextmanager
def claimed(
    engine: Engine, old: Serving, meta: JsonObject, stop: Event, every: float, *, compress: bool = False
) -> Iterator[Claim]:
    """Make the next index and keep the claim on it alive; in the end the claim goes, and the index too unless it serves.

    meta: `_meta.lexlip` of the next index; every: seconds between two renewals; compress: see `index_body`. Raises
    `LexlipError` where another rebuild is under way, or somebody else has the next name.
    """
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
    settings = _search_settings(old.meta, usual)
    loading = create_for_load(engine, index, marked, shards=shards, compress=compress, settings=settings)
    claim = Claim(engine, old, index, loading, stop, {})
    ended = Event()
    beats = Thread(target=claim.renew, args=(ended, every), daemon=True, name="rebuild")
    try:
        claim.before = _writes(engine, old.index)
        beats.start()
        yield claim
    except UnknownIndexError:
        claim.require()  # the sentence that says why it is gone
        raise
    finally:
        ended.set()
        if beats.ident is not None:
            beats.join()
        _clear(engine, claim)


def _clear(engine: Engine, claim: Claim) -> None:
    with suppress(LexlipError):  # not patiently: after an error the engine may be gone for good
        if claim.index in engine.indices(claim.old.alias):
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


def _writes(engine: Engine, index: str) -> dict[str, int]:
    """How many writes each shard has seen: each addition, change and deletion has a number of its own."""
    answer = engine.request("GET", f"/{quote(index, safe='')}/_stats/docs", params={"level": "shards"}, index=index)
    shards = answer.get("indices", {}).get(index, {}).get("shards")
    if not shards:
        raise UnknownIndexError(index, "the server")
    return {number: max(copy["seq_no"]["max_seq_no"] for copy in copies) for number, copies in shards.items()}
