"""`lexlip-es rebuild`: an index made anew beside the one that serves, and swapped with it."""

from pathlib import Path
from typing import Annotated

import typer

from lexlip_es.cli import common


def rebuild(
    images: Annotated[
        list[Path] | None, typer.Option("--images", help="A folder of pictures; repeat it for an index of several folders.")
    ] = None,
    texts: Annotated[
        list[Path] | None, typer.Option("--texts", help="A file of texts to be found by a picture; may be repeated.")
    ] = None,
    captions: Annotated[
        list[Path] | None,
        typer.Option("--captions", help="A file of captions for each --images, in their order; - for a folder without."),
    ] = None,
    files: common.FilesOption = None,
    index: common.IndexOption = None,
    collection: common.CollectionOption = None,
    terms: common.TermsOption = None,
    field_type: common.FieldTypeOption = None,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
    delete_old: Annotated[bool, typer.Option("--delete-old", help="Delete the old index once the new one serves.")] = False,
    drop_collection: Annotated[
        list[str] | None,
        typer.Option("--drop-collection", help="A collection that the new index shall not have; may be repeated."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Swap even if documents are refused, or a collection has far fewer, or no captions.")
    ] = False,
    url: common.UrlOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Make an index anew, for example with another model, while the old one goes on serving; then swap the two.

    Exit codes: 0 all indexed, 1 failed or refused, 3 some were skipped, 130 interrupted: only 0 and 3 have swapped.
    """
    from lexlip_es.encoders import load_encoder
    from lexlip_es.indexing import Run
    from lexlip_es.model_folder import open_model
    from lexlip_es.names import index_name
    from lexlip_es.rebuilding import open_sources, rebuild_index

    opened = open_sources(images or [], texts or [], files=files, captions=captions or [])
    name = index_name(index, opened[0][0].kind)
    encoder = load_encoder(open_model(model), text=text_side, runtime=runtime)
    runs = [Run.of(encoder, place, collection=collection, terms=terms) for _, place in opened]
    run = runs[0]
    sources = [(each.collection, source) for each, (source, _) in zip(runs, opened, strict=True)]
    engine = common.connected(url)
    with (
        common.accounted(run.report, as_json),
        common.stopped_by_ctrl_c(run.stop),
        common.progress(f"{sources[0][1].kind}s") as run.progress,
    ):
        rebuild_index(
            engine,
            run,
            sources,
            name,
            field_type=field_type,
            drop_collections=drop_collection or (),
            delete_old=delete_old,
            even_if_smaller=yes,
        )
