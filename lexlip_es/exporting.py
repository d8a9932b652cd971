"""Pictures to a file of bulk lines, for any loader: the machine that encodes need not reach the cluster."""

import gzip
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lexlip_es.captions import read_captions
from lexlip_es.documents import bulk_action
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.indexing import IndexReport, Run, found_pictures, picture_documents
from lexlip_es.mappings import index_body, index_meta

_SUFFIXES = (".ndjson.gz", ".ndjson")


def index_file(out: Path) -> Path:
    """Where the index body goes: `photos.ndjson.gz` -> `photos.index.json`; raises `UsageError` for another ending."""
    for suffix in _SUFFIXES:
        if out.name.endswith(suffix) and out.name != suffix:
            return out.with_name(out.name.removesuffix(suffix) + ".index.json")
    raise UsageError(f"{out} must end in .ndjson or .ndjson.gz.")


def export_pictures(
    run: Run, root: Path, out: Path, alias: str, *, files: Path | None = None, captions: Path | None = None
) -> IndexReport:
    """Write the bulk lines of a folder's pictures, and beside them the body that creates their index.

    PUT the body as `ALIAS-000001`, then POST the lines to `_bulk`: the result is the index that `index_pictures` makes. Both
    files appear whole or not at all. Raises `LexlipError` as `index_pictures` does, and for a file that cannot be written.
    """
    body_file = index_file(out)
    entries = found_pictures(root, files)
    by_path = read_captions(captions) if captions else {}
    body = index_body(index_meta(run.encoder.model, "picture", run.terms)) | {"aliases": {alias: {}}}
    started = time.perf_counter()
    try:
        with _whole(out) as lines:
            for document in picture_documents(run, entries, by_path):
                lines.write(_line(bulk_action(alias, document["_id"])) + _line(document["source"]))
                run.report.indexed += 1
        with _whole(body_file) as file:
            file.write(json.dumps(body, indent=2).encode() + b"\n")
    except OSError as error:
        raise LexlipError(f"{out} cannot be written ({error.strerror}): choose another place with --out.") from error
    run.report.total_seconds = time.perf_counter() - started
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
