"""`lexlip-es index`: pictures, or texts, into an index."""

from pathlib import Path
from typing import Annotated

import typer

from lexlip_es.cli import common


def index(
    images: Annotated[Path | None, typer.Option("--images", help="The folder of pictures.")] = None,
    texts: Annotated[
        Path | None,
        typer.Option("--texts", help="Texts to be found by a picture: CSV, TSV, JSONL, JSON, or one a line."),
    ] = None,
    captions: common.CaptionsOption = None,
    files: common.FilesOption = None,
    index: common.IndexOption = None,
    collection: common.CollectionOption = None,
    terms: common.TermsOption = None,
    field_type: common.FieldTypeOption = None,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
    url: common.UrlOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Index a folder of pictures (--images), or a file of texts (--texts).

    Exit codes: 0 all indexed, 1 failed or refused, 3 some were skipped, 130 interrupted after finishing what was begun.
    """
    from lexlip_es.encoders import load_encoder
    from lexlip_es.indexing import Run, index_source, open_source
    from lexlip_es.model_folder import open_model
    from lexlip_es.names import index_name

    source, place = open_source(images, texts, files=files, captions=captions)
    name = index_name(index, source.kind)
    encoder = load_encoder(open_model(model), text=text_side, runtime=runtime)
    run = Run.of(encoder, place, collection=collection, terms=terms)
    engine = common.connected(url)
    with (
        common.accounted(run.report, as_json),
        common.stopped_by_ctrl_c(run.stop),
        common.progress(f"{source.kind}s") as run.progress,
    ):
        index_source(engine, run, source, name, field_type=field_type)
