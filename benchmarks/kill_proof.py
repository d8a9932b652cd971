"""Does a run that is killed lose anything? Kill -9 of indexer or node at random moments, and what the index holds afterwards.

    python -m benchmarks.kill_proof --folder DIR [--kills 50] [--only indexer|node] [--first 0] [--out FILE.json]

Makes 2,000 pictures (copies, near copies and bad files among them) and a small model in DIR, and loads them once without any
trouble. Then, for each kill, an index of its own: a run is killed at a random moment, or its node is, which is started again at
once as a supervisor would; whatever ended in an error is run again until it ends well. The documents must be those of the clean
run, identifier by identifier and byte by byte of `_source`, and so must the settings, `_meta`, the alias and the list of what
was left out. Kill number N draws its moment from seed N alone; odd ones strike the node. Needs the `train` extra (onnx).
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.made_pictures import make_pictures, make_small_model
from benchmarks.options import tell
from lexlip_es.cli.common import say
from lexlip_es.engines import ConnectionSettings, Engine, connect
from tests.servers.restarting import RestartingNode

ENDED_WELL = (0, 3)  # 3: the bad files are left out
MOST_RUNS = 6
OWN = ("uuid", "creation_date", "provided_name", "version")  # settings that no two indices share
WORKERS_SECONDS = 15.0  # for the workers of a killed run to notice


@dataclass(frozen=True)
class Held:
    """What an index holds: `documents` by identifier as JSON text; `frame` is all else that must be the same."""

    documents: dict[str, str]
    paths: list[str]
    frame: dict[str, Any]


@dataclass
class Kill:
    """One kill and what came of it; the counts at the end must all be 0."""

    number: int
    struck: str
    seconds: float
    hit_while_running: bool = False
    documents_then: int = 0
    runs: int = 1
    codes: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    lost: int = 0
    double: int = 0
    different: int = 0
    frame_differs: int = 0
    left_out_differs: int = 0
    workers_left: int = 0

    @property
    def harmless(self) -> bool:
        """Whether nothing came of it."""
        counts = self.lost, self.double, self.different, self.frame_differs, self.left_out_differs, self.workers_left
        return self.codes[-1] in ENDED_WELL and not any(counts)


@dataclass
class Proof:
    """The pictures, the model, the node, and the files where a run's output goes."""

    folder: Path
    pictures: Path
    model: Path
    node: RestartingNode
    engine: Engine
    seconds: float = 0.0  # that a run takes

    def start(self, alias: str) -> "subprocess.Popen[bytes]":
        """A run in a process group of its own; its answer goes to `answer.json`, its talk to `talk.txt`."""
        command = [sys.executable, "-m", "lexlip_es.cli", "index", "--images", str(self.pictures), "--index", alias]
        command += ["--collection", "made", "--model", str(self.model), "--json"]
        known = {key: value for key, value in os.environ.items() if not key.startswith("LEXLIP_")}
        env = {**known, "LEXLIP_ES_URL": self.node.url, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with (self.folder / "answer.json").open("wb") as answer, (self.folder / "talk.txt").open("wb") as talk:
            return subprocess.Popen(command, env=env, stdout=answer, stderr=talk, start_new_session=True)

    def last_words(self) -> str:
        """The last line that the last run said."""
        lines = (self.folder / "talk.txt").read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def left_out(self) -> list[tuple[str, str]]:
        """What the last run listed as left out: (path, reason)."""
        answer = json.loads((self.folder / "answer.json").read_text("utf-8"))
        return sorted((item["path"], item["reason"]) for name in ("skipped", "failed") for item in answer[name])

    def documents_now(self, alias: str) -> int:
        """Documents in the index so far, published or not."""
        for index in self.engine.indices(f"{alias}-0*"):
            self.engine.refresh(index)
            return self.engine.count(index)
        return 0

    def held(self, alias: str) -> Held:
        """Everything that is behind the alias."""
        ((index, body),) = self.engine.indices(alias).items()
        self.engine.refresh(alias)
        sources = {hit["_id"]: hit["source"] for hit in self.engine.scan(alias)}
        settings = {key: value for key, value in body["settings"]["index"].items() if key not in OWN}
        named = {name.replace(alias, "ALIAS"): value for name, value in body["aliases"].items()}
        frame = {"index": index.replace(alias, "ALIAS"), "aliases": named, "settings": settings, "mappings": body["mappings"]}
        frame["beside"] = len(self.engine.indices(f"{alias}*")) - 1
        texts = {key: json.dumps(source, ensure_ascii=False) for key, source in sources.items()}
        return Held(texts, sorted(source["path"] for source in sources.values()), frame)

    def forget(self, alias: str) -> None:
        """Delete all of the alias' indices."""
        for index in self.engine.indices(f"{alias}*"):
            self.engine.delete_index(index)


def clean_run(proof: Proof) -> tuple[Held, list[tuple[str, str]]]:
    """What an index must hold, and what must be left out; the proof knows then how long a run takes."""
    began = time.monotonic()
    code = proof.start("proof-clean").wait()
    proof.seconds = time.monotonic() - began
    if code not in ENDED_WELL:
        sys.exit(f"the clean run ended with {code}: {proof.last_words()}")
    return proof.held("proof-clean"), proof.left_out()


def strike(proof: Proof, number: int, struck: str) -> Kill:
    """Kill number `number`, at a random moment of a run, and run again until a run ends well.

    A run that was over before its moment, since the machine had become faster, is done anew with a moment within its own length.
    """
    chance = random.Random(number)
    alias = f"proof-{number:03}"
    for _ in range(MOST_RUNS):
        kill = Kill(number, struck, round(chance.uniform(0, proof.seconds), 3))
        began = time.monotonic()
        run = proof.start(alias)
        try:
            run.wait(kill.seconds)
        except subprocess.TimeoutExpired:
            kill.hit_while_running = True
            break
        if run.returncode not in ENDED_WELL:  # of itself: to be seen in the result
            break
        proof.seconds = time.monotonic() - began
        proof.forget(alias)
    if kill.hit_while_running and struck == "indexer":
        run.kill()  # the process alone: its workers must notice by themselves
        run.wait()
        kill.workers_left = _workers_left(run.pid)
    elif kill.hit_while_running:
        proof.node.kill()
        proof.node.start()
    kill.documents_then = proof.documents_now(alias)
    kill.codes.append(run.wait())
    while kill.codes[-1] not in ENDED_WELL and kill.runs < MOST_RUNS:
        kill.said.append(proof.last_words())
        kill.runs += 1
        kill.codes.append(proof.start(alias).wait())
    return kill


def _workers_left(group: int) -> int:
    """How many processes of a killed run's group stay; they are ended then."""
    until = time.monotonic() + WORKERS_SECONDS
    while (left := _members(group)) and time.monotonic() < until:
        time.sleep(0.1)
    if left:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    return left


def _members(group: int) -> int:
    found = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, its_group = entry.read_text().rpartition(") ")[2].split()[:3]
            found += int(its_group) == group and state != "Z"
    return found


def compare(kill: Kill, clean: Held, clean_left_out: list[tuple[str, str]], proof: Proof) -> None:
    """Fill in what differs from the clean run."""
    if kill.codes[-1] not in ENDED_WELL:
        return
    held = proof.held(f"proof-{kill.number:03}")
    kill.lost = len(clean.documents.keys() - held.documents.keys())
    kill.double = max(len(held.documents.keys() - clean.documents.keys()), len(held.paths) - len(set(held.paths)))
    both = clean.documents.keys() & held.documents.keys()
    kill.different = sum(clean.documents[key] != held.documents[key] for key in both)
    kill.frame_differs = int(clean.frame != held.frame)
    kill.left_out_differs = int(clean_left_out != proof.left_out())


def main() -> None:
    """Kill, compare, and print JSON; exits with 1 where anything was lost, double or different."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where pictures and model are made, once")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--only", choices=("indexer", "node"), help="what is killed; default: both in turn")
    parser.add_argument("--first", type=int, default=0, help="number of the first kill")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--model", type=Path, help="another model folder; default: a small made one")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    pictures = make_pictures(options.folder / "pictures", options.pictures)
    model = options.model or make_small_model(options.folder / "model").path
    node = RestartingNode()
    try:
        node.start()
        engine = connect(ConnectionSettings(urls=(node.url,))).patient()
        proof = Proof(options.folder, pictures, model, node, engine)
        clean, left_out = clean_run(proof)
        seconds = proof.seconds
        print(
            f"clean run: {len(clean.documents)} documents, {len(left_out)} left out, {seconds:.1f} s", file=sys.stderr, flush=True
        )
        kills: list[Kill] = []
        for number in range(options.first, options.first + options.kills):
            kill = strike(proof, number, options.only or ("indexer", "node")[number % 2])
            compare(kill, clean, left_out, proof)
            kills.append(kill)
            say(f"{'harmless' if kill.harmless else 'HARM'}: {json.dumps(asdict(kill))}")
            if kill.harmless:
                proof.forget(f"proof-{number:03}")
    finally:
        node.remove()
    counts = ("hit_while_running", "lost", "double", "different", "frame_differs", "left_out_differs", "workers_left")
    result = {
        "pictures": options.pictures,
        "clean": {"documents": len(clean.documents), "left_out": len(left_out), "seconds": round(seconds, 1)},
        "total": {
            "kills": len(kills),
            "never_ended_well": sum(kill.codes[-1] not in ENDED_WELL for kill in kills),
            **{name: sum(getattr(kill, name) for kill in kills) for name in counts},
        },
        "kills": [asdict(kill) for kill in kills],
    }
    tell(result, options.out)
    sys.exit(not all(kill.harmless for kill in kills))


if __name__ == "__main__":
    main()
