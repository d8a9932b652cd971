"""`lexlip-es rebuild`: an index made anew beside the one that serves, and swapped with it."""

from functools import partial
from typing import Annotated

import typer

from lexlip_es.cli import common
from lexlip_es.cli import sources as given


def rebuild(
    images: given.ImagesOption = None,
    texts: given.TextsOption = None,
    captions: given.CaptionFilesOption = None,
    files: common.FilesOption = None,
    paths_below: given.PathsBelowOption = None,
    meta: given.MetaOption = None,
    exclude: given.ExcludeOption = None,
    with_location: given.LocationOption = False,
    index: common.IndexOption = None,
    collection: common.CollectionOption = None,
    terms: common.TermsOption = None,
    field_type: common.FieldTypeOption = None,
    write_once: given.WriteOnceOption = None,
    compress: given.CompressOption = None,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
    delete_old: Annotated[bool, typer.Option("--delete-old", help="Delete the old index once the new one serves.")] = False,
    drop_collection: Annotated[
        list[str] | None,
        typer.Option("--drop-collection", help="A collection that the new index shall not have; may be repeated."),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="Swap even if documents are refused or would be lost (another folder's of the same collection, those behind "
            "what cannot be read, far too many), or captions or columns.",
        ),
    ] = False,
    url: common.UrlOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Make an index anew, for example with another model, while the old one goes on serving; then swap the two.

    Exit codes: 0 all indexed, 1 failed or refused, 3 some were skipped, 130 interrupted: only 0 and 3 have swapped.
    """
    from lexlip_es.encoders import load_encoder
    from lexlip_es.indexing import count_entries
    from lexlip_es.loading import kind_of
    from lexlip_es.model_folder import open_model
    from lexlip_es.names import index_name
    from lexlip_es.rebuilding import rebuild_index

    sources = given.open_given(images, texts, captions, files, paths_below, meta, exclude)
    kind = kind_of(sources[0])
    name = index_name(index, kind)
    encoder = load_encoder(open_model(model), text=text_side, runtime=runtime)
    runs = given.runs_over(encoder, sources, collection=collection, terms=terms, with_location=with_location)
    run = runs[0]
    engine = common.connected(url)
    with (
        common.accounted(run.report, as_json),
        common.stopped_by_ctrl_c(run.stop),
        common.progress(f"{kind}s", run.report, partial(count_entries, sources)) as run.progress,
    ):
        rebuild_index(
            engine,
            run,
            [(each.collection, source) for each, source in zip(runs, sources, strict=True)],
            name,
            field_type=field_type,
            write_once=write_once,
            compress=compress,
            drop_collections=drop_collection or (),
            delete_old=delete_old,
            even_if_smaller=yes,
        )
