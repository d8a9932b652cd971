"""`lexlip-es export`: pictures to a file of bulk lines; no server is asked."""

from pathlib import Path
from typing import Annotated

import typer

from lexlip_es.cli import common


def export(
    images: Annotated[Path, typer.Option("--images", help="The folder of pictures.")],
    out: Annotated[
        Path, typer.Option("--out", help="The file to write: FILE.ndjson or FILE.ndjson.gz; FILE.index.json beside it.")
    ],
    captions: common.CaptionsOption = None,
    files: common.FilesOption = None,
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
    from lexlip_es.indexing import PictureFolder, Run
    from lexlip_es.model_folder import open_model

    index_file(out)  # a wrong ending is told before hours of encoding
    source = PictureFolder(images, files, captions)
    run = Run.of(load_encoder(open_model(model), runtime=runtime), images, collection=collection, terms=terms)
    with (
        common.accounted(run.report, as_json),
        common.stopped_by_ctrl_c(run.stop),
        common.progress("pictures") as run.progress,
    ):
        export_source(run, source, out, index, family=family or "opensearch")
