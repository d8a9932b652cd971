"""How long does a command take, its own start-up included? Whole processes, median of ten, against a running engine.

    python -m benchmarks.startup [--index NAME] [--runs 10]

Needs a running engine and an index (`lexlip-es index --images DIR`).
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path


def milliseconds(command: list[str]) -> float:
    """One run of a whole process."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    """Time the commands in turn, so that the machine's moods touch all of them alike."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", default="pictures")
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    program = str(Path(sys.executable).with_name("lexlip-es"))
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "lexlip-es --help": [program, "--help"],
        "lexlip-es query": [program, "query", "a dog on a beach"],
        "lexlip-es search": [program, "search", "a dog on a beach", "--index", options.index],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.runs):
        for name, command in commands.items():
            times[name].append(milliseconds(command))
    print(
        json.dumps(
            {
                name: {"median_ms": round(statistics.median(t)), "min_ms": round(min(t)), "max_ms": round(max(t))}
                for name, t in times.items()
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
