"""What the engine holds of a collection: enough of each document to see whether its file is still the same.

The index is the only state of this program. So a run first reads five columns of its collection, some 90 bytes a document in
memory (a million pictures are 90 MB), and then looks each file up by the id that it would have.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from lexlip_es.batches import batched
from lexlip_es.documents import document_id
from lexlip_es.engines.protocol import Engine, JsonObject
from lexlip_es.entries import path_bytes
from lexlip_es.shards import WHOLE, Shard

COLUMNS = ("path", "root", "file_size", "modified", "content_hash")
IDS_AT_ONCE = 500  # documents asked for by id in one request: about a megabyte with their terms
_BATCH = 10_000
_RECORD = np.dtype([("id", "V16"), ("size", "i8"), ("modified", "i8"), ("hash", "V32"), ("root", "i4")])


@dataclass(frozen=True)
class Held:
    """One document: `size` in bytes, `modified` in milliseconds since 1970, `root` the folder that it was found under."""

    id: str
    size: int
    modified: int
    content_hash: str
    root: str


class Holdings:
    """Documents of one collection as they were when the run began, and which of them it has seen again since."""

    def __init__(self, documents: Iterable[Held] = (), twins: Sequence[Held] = ()) -> None:
        """`documents` are those that the run is about; `twins` are only there to be used again, and never missing."""
        numbers: dict[str, int] = {}
        parts = [
            np.array([_packed(held, numbers.setdefault(held.root, len(numbers))) for held in batch], _RECORD)
            for batch in batched(chain(documents, twins), _BATCH)
        ]
        records = np.concatenate(parts) if parts else np.empty(0, _RECORD)
        self._records = records[np.argsort(_keys(records), kind="stable")]
        self._keys = array("Q", _keys(self._records).tobytes())
        self._seen = np.zeros(len(records), bool)
        self._roots = list(numbers)
        for twin in twins:
            self.see(twin.id)

    def __len__(self) -> int:
        return len(self._records)

    def see(self, document: str) -> Held | None:
        """The document of this id, whose file was met: it is not `unseen` any more."""
        wanted = bytes.fromhex(document)
        i = bisect_left(self._keys, int.from_bytes(wanted[:8], "big"))
        while i < len(self._keys) and self._keys[i] == int.from_bytes(wanted[:8], "big"):
            record = self._records[i].item()
            if record[0] == wanted:
                self._seen[i] = True
                return self._held(record)
            i += 1
        return None

    def gone_from(self, root: str) -> tuple[list[Held], int]:
        """The documents found under this root whose files were not met again, and how many documents it has in all."""
        if root not in self._roots:
            return [], 0
        under = self._records["root"] == self._roots.index(root)
        return [self._held(record) for record in self._records[under & ~self._seen].tolist()], int(under.sum())

    def may_have(self, size: int) -> bool:
        """Whether some document's file has this size, so that it may have this content."""
        i = int(np.searchsorted(self._sizes, size))
        return i < len(self._sizes) and int(self._sizes[i]) == size

    def with_content(self, content_hash: str) -> Held | None:
        """A document of this content, the first by its id."""
        i = self._by_hash.get(bytes.fromhex(content_hash))
        return None if i is None else self._held(self._records[i].item())

    def _held(self, record: tuple[bytes, int, int, bytes, int]) -> Held:
        identifier, size, modified, content_hash, root = record
        return Held(identifier.hex(), size, modified, content_hash.hex(), self._roots[root])

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        return np.unique(self._records["size"])

    @cached_property
    def _by_hash(self) -> dict[bytes, int]:
        hashes = self._records["hash"]
        return {hashes[i].tobytes(): i for i in range(len(hashes) - 1, -1, -1)}


def read_holdings(
    engine: Engine, index: str, collection: str, shard: Shard = WHOLE, *, key: Callable[[str], bytes] = path_bytes
) -> Holdings:
    """What the index holds of a collection (and a shard of it); what was written since its last refresh is not seen.

    key: what of a document's path its id is made of.
    """
    return Holdings(held for held in _read(engine, index, collection, key=key) if shard.has(held.id))


def read_some(
    engine: Engine,
    index: str,
    collection: str,
    *,
    ids: Iterable[str] = (),
    folders: Iterable[str] = (),
    contents: Iterable[str] = (),
) -> list[Held]:
    """The documents of a collection that have one of these ids or contents, or whose path lies below one of these folders."""
    found: dict[str, Held] = {}
    for field, values in {"_id": ids, "folder": folders, "content_hash": contents}.items():
        for some in batched(values, IDS_AT_ONCE):
            found.update((held.id, held) for held in _read(engine, index, collection, {"terms": {field: list(some)}}))
    return list(found.values())


def _read(
    engine: Engine, index: str, collection: str, only: JsonObject | None = None, *, key: Callable[[str], bytes] = path_bytes
) -> Iterator[Held]:
    clauses: list[JsonObject] = [{"term": {"collection": collection}}, *([only] if only else [])]
    return (_held_of(collection, row, key) for row in engine.columns(index, COLUMNS, {"bool": {"filter": clauses}}))


def read_documents(engine: Engine, index: str, ids: Sequence[str], fields: Sequence[str] | None = None) -> dict[str, JsonObject]:
    """The sources (or some fields of them) of the documents of these ids that there are, by id; any number of ids."""
    found: dict[str, JsonObject] = {}
    for start in range(0, len(ids), IDS_AT_ONCE):
        some = list(ids[start : start + IDS_AT_ONCE])
        body = {"query": {"ids": {"values": some}}, "size": len(some), "_source": True if fields is None else list(fields)}
        for hit in engine.search(index, body)["hits"]["hits"]:
            found[hit["_id"]] = hit.get("_source", {})
    return found


def milliseconds(moment: str) -> int:
    """Milliseconds since 1970 of a time as documents have it, such as `2026-01-31T12:00:00.000Z`."""
    return round(1000 * datetime.fromisoformat(moment).timestamp())


def _held_of(collection: str, row: Sequence[object], key: Callable[[str], bytes]) -> Held:
    path, root, size, modified, content_hash = row
    return Held(
        document_id(collection, key(str(path))),
        int(str(size or 0)),
        milliseconds(str(modified)) if modified else 0,
        str(content_hash),
        str(root) if root else "",
    )


def _packed(held: Held, root: int) -> tuple[bytes, int, int, bytes, int]:
    return bytes.fromhex(held.id), held.size, held.modified, bytes.fromhex(held.content_hash), root


def _keys(records: NDArray[np.void]) -> NDArray[np.uint64]:
    """The first eight bytes of each id as a number, for a search by halving."""
    return np.frombuffer(records["id"].tobytes(), ">u8").reshape(-1, 2)[:, 0].astype(np.uint64)
