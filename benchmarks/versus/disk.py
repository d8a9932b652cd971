"""Where the bytes of a merged index are: by what its segments' files hold, with the part of `terms` told from the other fields'.

Lucene keeps all fields' postings in one file, and their dictionaries in others. What `terms` have of them is the difference
between two throw-away indices of the same documents in the same order: one with the terms and nothing else, one with nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmarks.sending import disk_bytes
from lexlip_es.documents import Document
from lexlip_es.engines import Engine
from lexlip_es.mappings import LOAD_SETTINGS

POSTINGS, DICTIONARY = "postings", "dictionary"
OTHER = "other"
_HOLDS = {
    **dict.fromkeys(("doc", "pos", "pay", "psm"), POSTINGS),  # psm: where they are
    **dict.fromkeys(("tim", "tip", "tmd"), DICTIONARY),
    **dict.fromkeys(("fdt", "fdx", "fdm"), "stored"),  # `_source`, `_id`
    **dict.fromkeys(("dvd", "dvm"), "doc values"),
    **dict.fromkeys(("kdd", "kdi", "kdm"), "points"),
    **dict.fromkeys(("nvd", "nvm"), "norms"),
}
# Of `index.` on OpenSearch, so that each part has a file of its own, in small segments too. Elasticsearch looks into its files.
UNPACKED = {"compound_format": False, "use_compound_file": False}


def load(engine: Engine, index: str, body: Mapping[str, Any], documents: Iterable[Document]) -> None:
    """Make the index anew, bring in the documents in their order, and merge each shard into one segment."""
    for old in engine.indices(index):
        engine.delete_index(old)
    unpacked = UNPACKED if engine.server.product == "opensearch" else {}
    engine.create_index(index, {**body, "settings": {"index": {**_settings(body), **LOAD_SETTINGS, **unpacked}}})
    for result in engine.bulk(index, documents):
        if not result.ok:
            raise SystemExit(f"{result.id} was refused: {result.reason}")
    engine.force_merge(index)
    engine.refresh(index)


def split(engine: Engine, source: str, index: str, shards: int) -> None:
    """Make an index of the documents of another, in more shards, each merged into one segment."""
    engine.put_settings(source, {"index.blocks.write": True})
    settings = {"index": {"number_of_shards": shards, "blocks.write": None}}
    engine.request("POST", f"/{source}/_split/{index}", body={"settings": settings})
    engine.put_settings(source, {"index.blocks.write": None})
    engine.force_merge(index)
    engine.refresh(index)


def _settings(body: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = body.get("settings", {}).get("index", {})
    return found


def parts(engine: Engine, index: str) -> dict[str, int]:
    """Bytes by what they hold; they add up to those of all segments of the primaries."""
    whole = disk_bytes(engine, index)  # this also writes what is in memory
    asked = {"include_segment_file_sizes": "true", "filter_path": "_all.primaries.segments.file_sizes"}
    answer = engine.request("GET", f"/{index}/_stats/segments", params=asked)
    found: dict[str, int] = {}
    for extension, file in answer["_all"]["primaries"]["segments"]["file_sizes"].items():
        part = _HOLDS.get(extension, OTHER)
        found[part] = found.get(part, 0) + file["size_in_bytes"]
    # Settings of a segment are in files that the engine does not list.
    return {**found, OTHER: whole - sum(size for part, size in found.items() if part != OTHER)}


def terms_parts(
    engine: Engine, prefix: str, body: Mapping[str, Any], terms: Callable[[], Iterable[Mapping[str, float]]]
) -> dict[str, int]:
    """Bytes of the postings and of the dictionary of `terms` alone, each document's in the order of an index of this body."""
    bare: dict[str, dict[str, int]] = {}
    for name in ("terms", "nothing"):
        index = f"{prefix}-{name}"
        fields = {"terms": body["mappings"]["properties"]["terms"]} if name == "terms" else {}
        mappings = {"dynamic": "strict", "_source": {"enabled": False}, "properties": fields}
        said = ({"_id": f"{i:032x}", "source": dict.fromkeys(fields, kept)} for i, kept in enumerate(terms()))
        load(engine, index, {"settings": {"index": dict(_settings(body))}, "mappings": mappings}, said)
        bare[name] = parts(engine, index)
        engine.delete_index(index)
    return {part: bare["terms"][part] - bare["nothing"][part] for part in (POSTINGS, DICTIONARY)}


def apart(whole: Mapping[str, int], terms: Mapping[str, int]) -> dict[str, int]:
    """The parts of an index with those of `terms` beside the other fields'; the sum is the same."""
    told = {f"{part} of terms": size for part, size in terms.items()}
    return told | {(f"other {part}" if part in terms else part): size - terms.get(part, 0) for part, size in whole.items()}


def usage_parts(engine: Engine, index: str) -> dict[str, int]:
    """As `apart`, of an Elasticsearch that analyses its own disk: exact by field, and it takes as long as reading the index."""
    whole = disk_bytes(engine, index)
    answer = engine.request("POST", f"/{index}/_disk_usage", params={"run_expensive_tasks": "true"})
    found: dict[str, int] = {}
    for field, usage in answer[index]["fields"].items():
        sizes = {name.removesuffix("_in_bytes"): size for name, size in usage.items() if name.endswith("_in_bytes")}
        del sizes["total"]
        sizes[f"{POSTINGS} of terms" if field == "terms" else f"other {POSTINGS}"] = usage["inverted_index"]["total_in_bytes"]
        for part, size in sizes.items():
            told = {"stored_fields": "stored"}.get(part, part.replace("_", " "))
            found[told] = found.get(told, 0) + size
    return {**found, OTHER: whole - sum(found.values())}
