"""What does a run need? Memory of a command and its workers, and the documents that the index has got, over time: JSON, a plot.

    python -m benchmarks.resources --index NAME --out FILE.json [--plot FILE.png] [--every 1] -- lexlip-es index --images DIR ...

The engine is the one of LEXLIP_ES_URL, or the embedded node, which is started beforehand so that it is no part of the command's
memory; its own is sampled beside. Documents are those that the engine wrote, whether searches see them yet or not, counted from
the start of the command; `window` seconds make the rate of the plot. Memory is resident memory summed over the processes (what
they share counts for each). Linux only (/proc); the plot needs the `bench` extra.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lexlip_es.engines import ConnectionSettings, Engine, connect, embedded
from lexlip_es.errors import LexlipError

WINDOW = 60.0  # seconds over which a rate is taken: several batches
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Sample:
    """`seconds` since the start, `documents` written since then, resident bytes of the command's processes and of the node."""

    seconds: float
    documents: int
    processes: int
    bytes: int
    node_bytes: int


def resident(pid: int) -> int:
    """Resident bytes of a process; 0 for one that has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def family(pid: int) -> list[int]:
    """The process, its children, theirs and so on."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(entry.read_text().rpartition(") ")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.parent.name))
    found = [pid]
    for member in found:
        found.extend(children.get(member, ()))
    return found


def written(engine: Engine, index: str) -> int:
    """Documents that were indexed into the alias' numbered indices since they were made or their node started."""
    try:
        answer = engine.request("GET", f"/{index}-0*/_stats/indexing", params={"filter_path": "_all.primaries.indexing"})
    except LexlipError:  # it has other things to do
        return -1
    total: int = answer.get("_all", {}).get("primaries", {}).get("indexing", {}).get("index_total", 0)
    return total


def watch(command: Sequence[str], engine: Engine, index: str, node: int, every: float) -> tuple[int, list[Sample]]:
    """Run the command and sample it: (its exit code, samples)."""
    before, documents, samples = max(0, written(engine, index)), 0, []
    began = time.monotonic()
    run = subprocess.Popen(command)
    while True:
        code = run.poll()
        now = written(engine, index)
        documents = documents if now < 0 else now - before
        processes = family(run.pid)
        memory = sum(resident(pid) for pid in processes)
        seconds = round(time.monotonic() - began, 2)
        samples.append(Sample(seconds, documents, len(processes), memory, resident(node) if node else 0))
        if code is not None:
            return code, samples
        with suppress(subprocess.TimeoutExpired):
            run.wait(every)


def rates(samples: Sequence[Sample]) -> list[float]:
    """Documents a second at each sample, over the `WINDOW` seconds before it."""
    found, first = [], 0
    for sample in samples:
        while samples[first].seconds < sample.seconds - WINDOW:
            first += 1
        passed = sample.seconds - samples[first].seconds
        found.append((sample.documents - samples[first].documents) / passed if passed else 0.0)
    return found


def draw(samples: Sequence[Sample], path: Path, title: str) -> None:
    """Two panels over the same seconds: documents a second, and memory in MB."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    seconds = [sample.seconds for sample in samples]
    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(9, 6), layout="constrained")
    above.set_title(title)
    above.plot(seconds, rates(samples))
    above.set_ylabel(f"pictures a second ({WINDOW:.0f} s mean)")
    below.plot(seconds, [sample.bytes / 1e6 for sample in samples], label="the command and its workers")
    below.plot(seconds, [sample.node_bytes / 1e6 for sample in samples], label="the engine's node")
    below.set_ylabel("resident memory, MB")
    below.set_xlabel("seconds")
    below.legend()
    for panel in (above, below):
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def summary(samples: Sequence[Sample], command: Sequence[str], code: int) -> dict[str, Any]:
    """What a reader wants first; the second half's peak beside the first's shows whether memory grows."""
    seconds, memory = samples[-1].seconds, [sample.bytes for sample in samples]
    half = len(memory) // 2
    return {
        "command": list(command),
        "exit_code": code,
        "cpus": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "seconds": seconds,
        "documents": samples[-1].documents,
        "per_second": round(samples[-1].documents / seconds, 1),
        "peak_mb": round(max(memory) / 1e6),
        "peak_mb_first_half": round(max(memory[: half or 1]) / 1e6),
        "peak_mb_second_half": round(max(memory[half:]) / 1e6),
        "node_peak_mb": round(max(sample.node_bytes for sample in samples) / 1e6),
    }


def main() -> None:
    """Run, sample, write; exits as the command did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", default="pictures", help="the alias that the command writes into")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--title", default="")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between samples")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    node = 0 if os.environ.get("LEXLIP_ES_URL") else embedded.ensure_running().pid
    engine = connect(ConnectionSettings.from_environment(os.environ))
    code, samples = watch(options.command, engine, options.index, node, options.every)
    found = summary(samples, options.command, code)
    options.out.write_text(json.dumps({**found, "samples": [asdict(sample) for sample in samples]}) + "\n")
    if options.plot:
        draw(samples, options.plot, options.title or " ".join(options.command))
    print(json.dumps(found, indent=2))
    sys.exit(code)


if __name__ == "__main__":
    main()
