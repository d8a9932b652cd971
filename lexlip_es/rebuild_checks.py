"""What a rebuild would lose, found before it is lost: collections, captions, columns, what was not seen, most of a collection."""

from collections.abc import Iterable, Sequence

from lexlip_es.batches import batched
from lexlip_es.documents import ancestors
from lexlip_es.engines.protocol import Engine, JsonObject
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.loading import Source, columns_declared
from lexlip_es.meta_columns import columns_of
from lexlip_es.rebuild_claim import Serving
from lexlip_es.texts import TextFile

FEWEST = 0.8  # share of a collection's documents in the old index below which the next one does not serve unless told so
NAMED = 10  # collections (roots, paths) that a sentence names, the largest first
_AT_ONCE = 1_000  # paths asked for in one request


def of_collection(name: str) -> JsonObject:
    """The query for the documents of a collection."""
    return {"term": {"collection": name}}


def of_others(named: Iterable[str]) -> JsonObject:
    """The query for the documents of all other collections."""
    return {"bool": {"must_not": {"terms": {"collection": sorted(named)}}}}


def listed(engine: Engine, index: str, query: JsonObject | None = None, field: str = "collection") -> str:
    """The collections of an index (of the documents that match) with their sizes, as a sentence names them: "a (7), b (2)"."""
    counting = {"terms": {"field": field, "size": NAMED, "missing": "(none)"}}
    body = {"size": 0, "query": query or {"match_all": {}}, "aggs": {"collections": counting}}
    found = engine.search(index, body).get("aggregations", {}).get("collections", {})
    names = [f"{bucket['key']} ({bucket['doc_count']})" for bucket in found.get("buckets", ())]
    rest = found.get("sum_other_doc_count", 0)
    return ", ".join([*names, *([f"and others ({rest})"] if rest else [])]) or "no collection"


def refuse_wrong_names(engine: Engine, old: Serving, named: Sequence[str], dropped: Sequence[str]) -> None:
    """Raise `UsageError` for two sources of one collection, and for a collection to drop that is a source or not there."""
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise UsageError(
            f"two sources are both the collection {twice[0]}, where like names would be one: give each its own name."
        )
    for name in dropped:
        if name in named:
            raise UsageError(f"the collection {name} is to be made and to be dropped: leave out one of the two.")
        if not engine.count(old.index, of_collection(name)):
            raise UsageError(f"{old.index} has no collection {name} to drop: it has {listed(engine, old.index)}.")


def refuse_to_lose_captions(engine: Engine, old: Serving, sources: Sequence[tuple[str, Source]]) -> None:
    """Raise for a collection with captions whose source brings none: known before an hour's work, so said before it."""
    for name, source in sources:
        if not isinstance(source, TextFile) and not source.has_extras and (had := _captioned(engine, old.index, name)):
            raise _captions_lost(old, name, had)


def refuse_to_lose_columns(engine: Engine, old: Serving, sources: Iterable[tuple[str, Source]]) -> None:
    """Raise for a collection with values of a column that its source does not declare."""
    for name, source in sources:
        for column, kind in columns_of(old.body["mappings"]).items():
            if column in columns_declared(source):
                continue
            valued = {"bool": {"filter": [of_collection(name), {"exists": {"field": f"meta.{column}"}}]}}
            if had := engine.count(old.index, valued):
                raise LexlipError(
                    f"{had} pictures of the collection {name} have a {column}, which none would have any more, so {old.index} "
                    f"goes on serving: declare it with --meta {column}:{kind}, or rebuild with --yes if that is meant."
                )


def refuse_to_lose_roots(engine: Engine, old: Serving, sources: Iterable[tuple[str, Source]]) -> None:
    """Raise for a collection with documents from another root than its source's; the oldest indices do not know their roots."""
    for name, source in sources:
        elsewhere = {"filter": [of_collection(name), {"exists": {"field": "root"}}], "must_not": {"term": {"root": source.root}}}
        if had := engine.count(old.index, {"bool": elsewhere}):
            roots = listed(engine, old.index, {"bool": elsewhere}, "root")
            raise LexlipError(
                f"{had} documents of the collection {name} came from elsewhere than {source.root}, namely {roots}, and would be "
                f"lost, so {old.index} goes on serving: rebuild from a folder that holds all, or with --yes if that is meant."
            )


def refuse_to_lose_hidden(engine: Engine, old: Serving, made: str, name: str, hidden: Iterable[str]) -> None:
    """Raise where a collection has documents behind what could not be read (`Comparison.hidden`) that `made` does not have."""
    lost: dict[str, int] = {}  # hidden path -> documents
    for some in batched(sorted(hidden), _AT_ONCE):
        wanted = set(some)
        behind = {"bool": {"should": [{"terms": {"path": some}}, {"terms": {"folder": some}}], "minimum_should_match": 1}}
        there = {"bool": {"filter": [of_collection(name), *([] if "" in some else [behind])]}}
        for paths in batched((str(path) for (path,) in engine.columns(old.index, ["path"], there)), _AT_ONCE):
            these = {"bool": {"filter": [of_collection(name), {"terms": {"path": paths}}]}}
            for path in {*paths} - {path for (path,) in engine.columns(made, ["path"], these)}:
                at = next(at for at in (path, *ancestors(path), "") if at in wanted)
                lost[at] = lost.get(at, 0) + 1
    if lost:
        where = ", ".join(f"{at or 'the root'} ({lost[at]})" for at in sorted(lost, key=lambda at: (-lost[at], at))[:NAMED])
        more = f", and others ({len(lost) - NAMED})" if len(lost) > NAMED else ""
        raise LexlipError(
            f"{sum(lost.values())} documents of the collection {name} are of files at or below what could not be read, {where}"
            f"{more}, and would be lost, so {old.index} goes on serving: mend that, or rebuild with --yes if that is meant."
        )


def refuse_to_shrink(engine: Engine, old: Serving, made: str, named: Iterable[str]) -> None:
    """Raise where a collection of these has far fewer documents in the index `made`, or no captions any more."""
    for name in named:
        has, had = engine.count(made, of_collection(name)), engine.count(old.index, of_collection(name))
        if has < FEWEST * had:
            raise LexlipError(
                f"the collection {name} would have only {has} documents, where {old.index} has {had} and goes on serving: look "
                "at what was left out, or rebuild with --yes if that is meant."
            )
        if (captioned := _captioned(engine, old.index, name)) and not _captioned(engine, made, name):
            raise _captions_lost(old, name, captioned)


def _captioned(engine: Engine, index: str, collection: str) -> int:
    return engine.count(index, {"bool": {"filter": [of_collection(collection), {"exists": {"field": "caption"}}]}})


def _captions_lost(old: Serving, name: str, had: int) -> LexlipError:
    return LexlipError(
        f"{had} pictures of the collection {name} have captions, which none would have any more, so {old.index} goes on serving: "
        "give their file with --captions, or rebuild with --yes if that is meant."
    )
