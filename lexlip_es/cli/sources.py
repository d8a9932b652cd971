"""What several commands ask about the things that they read: where they are, what is said of them, which of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lexlip_es.errors import UsageError

if TYPE_CHECKING:
    from lexlip_es.encoders import Encoder
    from lexlip_es.loading import Run, Source

ImagesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--images",
        help="Pictures: a folder, a table of paths (CSV, TSV, JSONL, JSON, Parquet), tar shards ('shards/*.tar') or a URL such "
        "as s3://bucket/folder; may be repeated.",
    ),
]
TextsOption = Annotated[
    list[Path] | None,
    typer.Option("--texts", help="Texts to be found by a picture: CSV, TSV, JSONL, JSON, or one a line; may be repeated."),
]
CaptionFilesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--captions",
        help="A file of captions (CSV, TSV, JSONL, JSON), kept as text beside the terms: one for each --images, in "
        "their order; - for a folder without. Parquet is read as a table alone, by --images.",
    ),
]
PathsBelowOption = Annotated[
    Path | None, typer.Option("--paths-below", help="The folder that a table's paths are relative to; default: the table's own.")
]
MetaOption = Annotated[
    list[str] | None,
    typer.Option(
        "--meta",
        help="A column of a table or of shards to keep, which filters find as meta.NAME: NAME:TYPE (keyword, text, long, double, "
        "date, boolean); may be repeated. A later run without it leaves the values as they are.",
    ),
]
ExcludeOption = Annotated[
    list[str] | None, typer.Option("--exclude", help="Leave out what this pattern matches, as in .gitignore; may be repeated.")
]
LocationOption = Annotated[
    bool, typer.Option("--with-location", help="Keep where pictures were taken (GPS): often people's homes.")
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help="Only a part: 3/16 is what the third of sixteen machines does of the same source; auto, or auto/16, takes the place "
        "from torchrun, accelerate launch, Slurm or an indexed Job of Kubernetes.",
    ),
]

WriteOnceOption = Annotated[
    bool | None,
    typer.Option(
        "--write-once/--no-write-once",
        help="Keep no terms in _source, nearly a third less disk. Then moved files are encoded again, near duplicates are not "
        "grouped, a rebuild needs the files of all collections, and every update by other programs (_update, _reindex, "
        "_update_by_query) loses the terms without an error. Default: as the index is; a new one keeps them.",
    ),
]
CompressOption = Annotated[
    bool | None,
    typer.Option(
        "--compress/--no-compress",
        help="Pack _source more tightly (index.codec: best_compression), for some more time at loading. Default: as the index "
        "is; a new one is not.",
    ),
]


def open_given(
    images: Sequence[str] | None,
    texts: Sequence[Path] | None,
    captions: Sequence[Path] | None,
    files: Path | None,
    paths_below: Path | None = None,
    meta: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
) -> list["Source"]:
    """The sources that these options name."""
    from lexlip_es.indexing import open_sources

    return open_sources(
        images or [],
        texts or [],
        captions=captions or [],
        files=files,
        paths_below=paths_below,
        meta=meta or [],
        exclude=exclude or [],
    )


def runs_over(
    encoder: "Encoder",
    sources: Sequence["Source"],
    *,
    collection: str | None,
    terms: int | None,
    shard: str | None = None,
    with_location: bool = False,
) -> list["Run"]:
    """A run over each source, with one report and one way to stop for all of them."""
    import os

    from lexlip_es.loading import Run
    from lexlip_es.shards import WHOLE, Shard

    if collection and len(sources) > 1:
        raise UsageError("several sources in one --collection would make one of like names: leave it out, or index in turn.")
    first = Run.of(encoder, sources[0].root, collection=collection, terms=terms)
    first = replace(first, shard=Shard.parse(shard, os.environ) if shard else WHOLE, with_location=with_location)
    return [replace(first, collection=collection or source.root) for source in sources]
