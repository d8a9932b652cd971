"""`lexlip-es export`: pictures to a file of bulk lines; no server is asked."""

from pathlib import Path
from typing import Annotated

import typer

from lexlip_es.cli import common
from lexlip_es.cli import sources as given
from lexlip_es.errors import UsageError


def export(
    out: Annotated[
        Path, typer.Option("--out", help="The file to write: FILE.ndjson or FILE.ndjson.gz; FILE.index.json beside it.")
    ],
    images: given.ImagesOption = None,
    texts: given.TextsOption = None,
    captions: given.CaptionFilesOption = None,
    files: common.FilesOption = None,
    paths_below: given.PathsBelowOption = None,
    meta: given.MetaOption = None,
    exclude: given.ExcludeOption = None,
    with_location: given.LocationOption = False,
    shard: given.ShardOption = None,
    index: common.IndexOption = None,
    collection: common.CollectionOption = None,
    terms: common.TermsOption = None,
    family: common.FamilyOption = None,
    model: common.ModelOption = None,
    runtime: common.RuntimeOption = "auto",
    as_json: common.JsonOption = False,
) -> None:
    """Write bulk lines for any loader. Create the index first: PUT NAME-000001 with FILE.index.json, then POST _bulk.

    Exit codes are those of `lexlip-es index`.
    """
    from lexlip_es.encoders import load_encoder
    from lexlip_es.exporting import export_source, index_file
    from lexlip_es.loading import kind_of
    from lexlip_es.model_folder import open_model

    index_file(out)  # a wrong ending is told before hours of encoding
    sources = given.open_given(images, texts, captions, files, paths_below, meta, exclude)
    if len(sources) > 1:
        raise UsageError("one file holds the documents of one source: export the others into files of their own.")
    encoder = load_encoder(open_model(model), runtime=runtime)
    (run,) = given.runs_over(encoder, sources, collection=collection, terms=terms, shard=shard, with_location=with_location)
    with (
        common.accounted(run.report, as_json),
        common.stopped_by_ctrl_c(run.stop),
        common.progress(f"{kind_of(sources[0])}s", run.report) as run.progress,
    ):
        export_source(run, sources[0], out, index, family=family or "opensearch")
