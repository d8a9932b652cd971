"""What does the pipeline cost beside its work? Pictures per second of decoding alone, of encoding alone, of a bare loop of both,
and of the whole pipeline (decode -> encode -> documents -> bulk lines), on the same files, in turn, with the same threads.

    python -m benchmarks.pipeline_speed --images DIR [--count 600] [--rounds 3]

The bare loop decodes a batch in a pool of threads, then encodes it with the package's ONNX encoder, one thread a processor. The
pipeline's documents are written as the bulk lines that would go to an engine, and dropped: an engine on the same machine would
take time of the same processors. `ratio_to_slower_stage` is the median over rounds of pipeline / min(decoding, encoding);
`work_bound` is what is possible at most where both stages share the same processors: 1 / (1/decoding + 1/encoding).
On a machine that does other things as well the rates say little; the processor time a picture (`cpu_ms`, of this process and of
its workers) does, and its ratio is what the pipeline itself costs.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lexlip_es.batches import batched
from lexlip_es.decoding import Decoded, Decoders
from lexlip_es.documents import Document, document_id, features
from lexlip_es.encoders import load_encoder
from lexlip_es.engines.bulk import bulk
from lexlip_es.engines.protocol import BulkResult
from lexlip_es.entries import Found
from lexlip_es.finding import find_pictures
from lexlip_es.images import content_hash, open_picture
from lexlip_es.machine import cpus
from lexlip_es.model_folder import open_model
from lexlip_es.pipeline import Pipeline
from lexlip_es.report import Report
from lexlip_es.weights import SparseWeights, prepare_documents


class Bench:
    """The four ways to go through the same pictures."""

    def __init__(self, images: Path, model: Path | None, count: int, workers: int | None) -> None:
        """Find the pictures and load the model."""
        self.items = [entry for entry in find_pictures(images) if isinstance(entry, Found)][:count]
        self.encoder = load_encoder(open_model(model))
        self.spec = self.encoder.model.picture_spec
        self.workers = workers
        self.pixels = [open_picture(item.place.read(), self.spec).pixels for item in self.items]
        self.encoder.encode_pictures(self.pixels[:8])
        self.report = Report()

    def decoding(self) -> None:
        """Decoding alone, in as many threads as there are processors."""
        with ThreadPoolExecutor(cpus()) as pool:
            for _ in pool.map(self._decode, self.items):
                pass

    def encoding(self) -> None:
        """Encoding alone, of pictures in memory."""
        for batch in batched(self.pixels, self.encoder.batch_size):
            self.encoder.encode_pictures(batch)

    def bare_loop(self) -> None:
        """A batch decoded in threads, then encoded: what one would write first."""
        with ThreadPoolExecutor(cpus()) as pool:
            for batch in batched(self.items, self.encoder.batch_size):
                self.encoder.encode_pictures([picture.pixels for picture, _ in pool.map(self._decode, batch)])

    def pipeline(self) -> None:
        """All stages; the start of the worker processes is not counted, as it is the same for a million pictures."""
        self.report = Report()
        Pipeline(self.decoders, self.encoder, self._documents, self._send, self.report).run(self.items)
        assert self.report.indexed == len(self.items)

    def start(self) -> None:
        """Start the worker processes."""
        self.decoders = Decoders(self.spec, workers=self.workers)
        for _ in self.decoders.decode(self.items[: 8 * max(1, self.decoders.workers)], 8 * max(1, self.decoders.workers)):
            pass

    def _decode(self, item: Found) -> Any:
        data = item.place.read()
        return open_picture(data, self.spec), content_hash(data)

    def _documents(self, batch: Sequence[tuple[Found, Decoded]], raw: SparseWeights) -> Iterator[Document]:
        weights, lexicon = prepare_documents(raw, 64), self.encoder.model.lexicon
        for i, (found, decoded) in enumerate(batch):
            source: dict[str, Any] = {"path": found.display_path, "content_hash": decoded.content_hash}
            source["terms"] = features(weights.row(i), lexicon)
            yield {"_id": document_id("bench", found.relative), "source": source}

    def _send(self, documents: Iterable[Document]) -> Iterator[BulkResult]:
        return bulk(_drop, documents, server="nowhere", index="pictures")


def _drop(payload: bytes) -> dict[str, Any]:
    actions = [json.loads(line) for line in payload.splitlines()[::2]]
    return {"errors": False, "items": [{"index": {"_id": action["index"]["_id"], "status": 201}} for action in actions]}


def processor_seconds(pids: Sequence[int]) -> float:
    """What this process and its workers have used until now (Linux)."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def measured(bench: Bench, way: Callable[[], None]) -> tuple[float, float]:
    """Pictures per second of wall time, and milliseconds of processor time a picture."""
    count, started, used = len(bench.items), time.perf_counter(), processor_seconds(bench.decoders.pids)
    way()
    used = processor_seconds(bench.decoders.pids) - used
    return count / (time.perf_counter() - started), 1000 * used / count


def main() -> None:
    """Measure in turn, so that the machine's moods touch all ways alike."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, help="decoding processes; 0: threads; default: one a processor")
    options = parser.parse_args()
    bench = Bench(options.images, options.model, options.count, options.workers)
    bench.start()
    rounds = []
    for _ in range(options.rounds):
        ways = (bench.decoding, bench.encoding, bench.bare_loop, bench.pipeline)
        both = {way.__name__: measured(bench, way) for way in ways}
        rates = {name: rate for name, (rate, _) in both.items()}
        rates["work_bound"] = 1 / (1 / rates["decoding"] + 1 / rates["encoding"])
        rates["ratio_to_slower_stage"] = rates["pipeline"] / min(rates["decoding"], rates["encoding"])
        rates["ratio_to_bare_loop"] = rates["pipeline"] / rates["bare_loop"]
        rates["ratio_to_work_bound"] = rates["pipeline"] / rates["work_bound"]
        cpu = {name: milliseconds for name, (_, milliseconds) in both.items()}
        rates |= {f"{name}_cpu_ms": milliseconds for name, milliseconds in cpu.items()}
        rates["cpu_ratio_bare_loop_to_pipeline"] = cpu["bare_loop"] / cpu["pipeline"]
        rounds.append(rates)
    bench.decoders.close()
    medians = {name: round(statistics.median(rates[name] for rates in rounds), 3) for name in rounds[0]}
    all_rounds = [{name: round(value, 3) for name, value in rates.items()} for rates in rounds]
    answer = {"cpus": cpus(), "pictures": len(bench.items), "medians": medians, "rounds": all_rounds}
    print(json.dumps({**answer, "last_report": bench.report.to_json()}, indent=2))


if __name__ == "__main__":
    main()
