"""A tree in which nothing has changed, brought up to date by rclip and by lexlip-es: seconds and processor seconds, side by side.

    python -m venv /tmp/rclip && /tmp/rclip/bin/pip install rclip
    python -m benchmarks.rclip_beside --images DIR --rclip /tmp/rclip/bin/python --folder DIR [--rounds 5]

What is compared: walking the tree, asking the own store about each picture, and what starting the program costs. Both are filled
first, which is told but compares nothing, since rclip's model (CLIP, 600 MB) is replaced by a stub: random vectors of its 512
numbers, in no time. All else of rclip is its own: `RClip.ensure_index` with its `DB`, its walk, its hashes and its decoding. Of
lexlip-es the whole command `index` is run, with a small made model. Each round is a process of its own, in turn.

Not comparable: rclip's encoding and its model's start (it checks its model's files at each start; a search loads the text
tower and all vectors); its pictures' pixels (resized and normalised for CLIP) while filling; and what rclip does not do: it takes
a picture to be unchanged by path, time and size as we do, but looks for no near duplicates, keeps no dates or cameras, and
removes what is gone without asking where a disk is missing. lexlip-es asks an engine, a server process which runs before and
after and whose processor time is in `engine_cpu_seconds` (in rclip's turns: what it does anyway); rclip's SQLite is in its own
process. `seconds_inside` is `ensure_index` there and the stages of the pipeline here, without what is asked of the engine before.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

INDEX = "benchmark-rclip"


def rclip_inside(images: str, database: str) -> None:
    """In rclip's own Python: bring its database up to date; print seconds as JSON."""
    import numpy
    from rclip import db, main, model  # type: ignore[import-not-found]

    class Stub(model.Model):  # type: ignore[misc]
        def compute_preprocessed_image_features(self, images: Any, *, for_indexing: bool = False) -> Any:
            drawn = numpy.random.default_rng(0).standard_normal((len(images), self.VECTOR_SIZE), numpy.float32)
            return drawn / numpy.linalg.norm(drawn, axis=-1, keepdims=True)

    store = db.DB(database)
    rclip = main.RClip(Stub(), store, 8, None)  # 8 is its default batch
    started = time.perf_counter()
    rclip.ensure_index(images)
    seconds = time.perf_counter() - started
    count = store._con.execute("SELECT count(*) FROM images WHERE deleted IS NULL").fetchone()[0]
    rclip.close()
    store.close()
    print(json.dumps({"seconds_inside": round(seconds, 2), "pictures": count}))


def node_seconds() -> float:
    """Processor seconds of the embedded node until now; 0 for a server elsewhere."""
    from lexlip_es.engines import embedded

    node = None if os.environ.get("LEXLIP_ES_URL") else embedded.status()
    if node is None:
        return 0.0
    fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(command: list[str]) -> dict[str, Any]:
    """Run a command that answers in JSON: what the whole process took, and what its answer says of it."""
    before, engine, started = resource.getrusage(resource.RUSAGE_CHILDREN), node_seconds(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr[-2000:])
    answer: dict[str, Any] = json.loads(done.stdout)
    if "unchanged" in answer:  # a report of ours
        answer = {"seconds_inside": answer["seconds"]["total"], "pictures": answer["unchanged"] + answer["indexed"]}
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        "engine_cpu_seconds": round(node_seconds() - engine, 2),
        "load_average": round(os.getloadavg()[0], 1),
        **answer,
    }


def main() -> None:
    """Fill both, then let them take turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--rclip", required=True, help="the Python of an environment in which rclip is installed")
    parser.add_argument("--folder", type=Path, required=True, help="for rclip's database and the made model; new")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    from benchmarks.made_pictures import make_small_model
    from benchmarks.sending import connected

    images = str(options.images.resolve())
    options.folder.mkdir(parents=True, exist_ok=True)
    model = make_small_model(options.folder / "model").path
    ours = ["index", "--images", images, "--index", INDEX, "--model", str(model), "--json"]
    ways = {
        "rclip": [options.rclip, str(Path(__file__).resolve()), "--inside", images, str(options.folder / "rclip.sqlite3")],
        "lexlip-es": [sys.executable, "-m", "lexlip_es.cli", *ours],
    }
    engine = connected()
    try:
        found: dict[str, Any] = {
            "cpus": len(os.sched_getaffinity(0)),
            "filling": {name: timed(way) for name, way in ways.items()},
        }
        rounds = [{name: timed(way) for name, way in ways.items()} for _ in range(options.rounds)]
    finally:
        for index in engine.indices(f"{INDEX}*"):
            engine.delete_index(index)
    keys = ("seconds", "cpu_seconds", "seconds_inside")
    found["unchanged"] = {name: {key: statistics.median(turn[name][key] for turn in rounds) for key in keys} for name in ways}
    found["ratio of lexlip-es to rclip"] = {
        key: round(statistics.median(turn["lexlip-es"][key] / turn["rclip"][key] for turn in rounds), 2) for key in keys
    }
    print(json.dumps({**found, "rounds": rounds}, indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        rclip_inside(*sys.argv[2:4])
    else:
        main()
