"""A large collection into one index, by Ray Data: each of many shards is a row of a dataset, and a pool of actors takes them.

    python examples/ray_index.py --images s3://bucket/photos --shards 64 [--workers 8] [--gpus 1] [--model FOLDER]

Needs `pip install lexlip-es 'ray[data]'` on all nodes, and pictures that all of them see by the same name (a URL, a shared disk).
Where the server is and who asks stands in the nodes' environment (`LEXLIP_ES_...`), as Ray shows what a job hands over. A shard
that is lost with its node is run again by Ray, and so is a whole job by you: what is in the index already is only compared.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray

from lexlip_es.encoders import load_encoder
from lexlip_es.engines import ConnectionSettings, connect
from lexlip_es.indexing import index_source
from lexlip_es.loading import Run
from lexlip_es.model_folder import open_model
from lexlip_es.shards import Shard
from lexlip_es.sources import open_picture_source


class ShardIndexer:
    """Brings one shard after another up to date; the model and the connection are made once an actor."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Load and connect, in the actor's process."""
        self.options = options
        runtime = "torch" if options.gpus else "auto"
        self.encoder = load_encoder(open_model(options.model), runtime=runtime)
        self.engine = connect(ConnectionSettings.from_environment(os.environ))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Index the shard of this row; what became of it is the new row."""
        source = open_picture_source(self.options.images)
        run = Run.of(self.encoder, source.root, collection=self.options.collection)
        shard = Shard(int(row["id"]) + 1, self.options.shards)
        report = index_source(self.engine, replace(run, shard=shard, workers=self.options.cpus), source, self.options.index)
        left_out = "\n".join(f"{path}: {reason}" for path, reason in (*report.skipped, *report.failed))
        return {"shard": shard.number, "added": report.added, "unchanged": report.unchanged, "left_out": left_out}


def main() -> None:
    """Hand out the shards, and say what became of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True)
    parser.add_argument("--index", default="pictures")
    parser.add_argument("--collection")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--shards", type=int, default=16, help="more than workers, so that a lost one costs little")
    parser.add_argument("--workers", type=int, default=2, help="actors: one a GPU, or one for each --cpus processors")
    parser.add_argument("--cpus", type=int, default=1, help="processors, and decoding processes, of each actor")
    parser.add_argument(
        "--gpus", type=float, default=0, help="GPUs of each actor; with one, the model's checkpoint runs in torch"
    )
    options = parser.parse_args()
    work = ray.data.range(options.shards, override_num_blocks=options.shards).map(
        ShardIndexer,
        fn_constructor_args=(options,),
        concurrency=options.workers,
        num_cpus=options.cpus,
        num_gpus=options.gpus,
    )
    for row in work.iter_rows():
        for line in row["left_out"].splitlines():
            print(f"left out {line}", file=sys.stderr)
        print(f"shard {row['shard']}/{options.shards}: {row['added']} added, {row['unchanged']} unchanged", flush=True)


if __name__ == "__main__":
    main()
