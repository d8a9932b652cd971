"""What measurements of loads share: the engine, sending made documents as a run does, and what they take on its disk."""

import os
from collections.abc import Iterable

from lexlip_es.decoding import Decoders
from lexlip_es.documents import Document
from lexlip_es.encoders import Encoder
from lexlip_es.engines import ConnectionSettings, Engine, connect
from lexlip_es.loading import IndexStore
from lexlip_es.pipeline import SENDERS, Pipeline
from lexlip_es.report import Report


def connected() -> Engine:
    """The engine of the environment, or the embedded one."""
    return connect(ConnectionSettings.from_environment(os.environ))


def send(engine: Engine, index: str, encoder: Encoder, documents: Iterable[Document], senders: int = SENDERS) -> Report:
    """Bring documents into an index through the stages of a run, of which those for pictures have nothing to do."""
    report = Report()
    with Decoders(encoder.model.picture_spec, workers=0) as decoders:
        Pipeline(decoders, encoder, lambda *_: (), IndexStore(engine, index).send, report, senders=senders).run(documents)
    if report.failed:
        raise SystemExit(f"{len(report.failed)} documents were refused, the first as {report.failed[0]}")
    return report


def disk_bytes(engine: Engine, index: str) -> int:
    """Bytes of the segments of an index's primaries, after all that the engine has in memory was written to its disk.

    `_stats/store` is ten seconds late, and counts segments that were merged already as long as the last refresh needs them.
    """
    engine.refresh(index)
    engine.request("POST", f"/{index}/_flush", params={"force": "true", "wait_if_ongoing": "true"})
    (found,) = engine.request("GET", f"/{index}/_segments")["indices"].values()
    copies = [copy for shard in found["shards"].values() for copy in shard if copy["routing"]["primary"]]
    return sum(segment["size_in_bytes"] for copy in copies for segment in copy["segments"].values())
