"""Pictures to a file of bulk lines, for any loader: the machine that encodes need not reach the cluster."""

import gzip
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lexlip_es.dialects import Family, field_type_of
from lexlip_es.documents import Document, bulk_action
from lexlip_es.engines.protocol import BulkResult, JsonObject
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.loading import Run, Source, columns_declared, kind_of, load
from lexlip_es.mappings import index_body, index_meta
from lexlip_es.names import index_name
from lexlip_es.report import Report

_SUFFIXES = (".ndjson.gz", ".ndjson")


def index_file(out: Path) -> Path:
    """Where the index body goes: `photos.ndjson.gz` -> `photos.index.json`; raises `UsageError` for another ending."""
    for suffix in _SUFFIXES:
        if out.name.endswith(suffix) and out.name != suffix:
            return out.with_name(out.name.removesuffix(suffix) + ".index.json")
    raise UsageError(f"{out} must end in .ndjson or .ndjson.gz.")


@dataclass(frozen=True)
class _Lines:
    """A file of bulk lines as a `Store` that remembers nothing; documents come one after the other, in the source's order."""

    file: IO[bytes]
    alias: str
    senders: int = 1

    def send(self, documents: Iterable[Document]) -> Iterator[BulkResult]:
        """See `Store.send`."""
        for document in documents:
            self.file.write(_line(bulk_action(self.alias, document["_id"])) + _line(document["source"]))
            yield BulkResult(document["_id"], True, 201)

    def read(self, ids: Sequence[str], fields: Sequence[str] | None = None) -> Mapping[str, JsonObject]:
        """See `Store.read`."""
        return {}


class _Interrupted(Exception):
    """Leaves the files unwritten."""


def export_source(run: Run, source: Source, out: Path, index: str | None = None, *, family: Family = "opensearch") -> Report:
    """Write the bulk lines of a source, and beside them the body that creates its index.

    PUT the body as `ALIAS-000001`, then POST the lines to `_bulk`: the result is the index that `index_source` makes. Both files
    appear whole or not at all: an interrupted run leaves what was there before. Raises `LexlipError` for a file that cannot be
    written.
    """
    kind = kind_of(source)
    body_file, alias = index_file(out), index_name(index, kind)
    meta = index_meta(run.encoder.model, kind, run.terms, field_type_of(family), columns=columns_declared(source))
    body = index_body(meta, family=family) | {"aliases": {alias: {}}}
    try:
        # Left in reverse order: the new body is in place before the new lines are, never new lines beside an old body.
        with suppress(_Interrupted), _whole(out) as lines, _whole(body_file) as file:
            file.write(json.dumps(body, indent=2).encode() + b"\n")
            load(run, source, _Lines(lines, alias))
            if run.report.interrupted:
                run.report.indexed = run.report.added = 0
                run.report.notes.append(f"{out} was not written.")
                raise _Interrupted
    except OSError as error:
        raise LexlipError(f"{out} cannot be written ({error.strerror}): choose another place with --out.") from error
    return run.report


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name only when it was written to the end; gzip without a time stamp, so that equal runs are equal."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as raw:
            if path.name.endswith(".gz"):
                with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                    yield packed  # type: ignore[misc]  # a GzipFile writes bytes like any binary file
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
