"""`lexlip-es index`: pictures, or texts, into an index."""

from functools import partial
from typing import Annotated

import typer

from lexlip_es.cli import common
from lexlip_es.cli import sources as given


def index(
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
    shard: given.ShardOption = None,
    keep_missing: Annotated[bool, typer.Option("--keep-missing", help="Keep documents whose files are gone.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is gone even where that is more than a fifth.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
    url: common.UrlOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Bring an index up to date with pictures (--images): new, changed, moved and removed ones. Or index texts (--texts).

    Run it again after a crash, or every night: what is the same is left alone. Exit codes: 0 all indexed, 1 failed or refused, 3
    some were skipped, 130 interrupted after finishing what was begun.
    """
    from lexlip_es.encoders import load_encoder
    from lexlip_es.indexing import compare_source, count_entries, index_source
    from lexlip_es.loading import kind_of
    from lexlip_es.model_folder import open_model
    from lexlip_es.names import index_name

    sources = given.open_given(images, texts, captions, files, paths_below, meta, exclude)
    kind = kind_of(sources[0])
    name = index_name(index, kind)
    encoder = load_encoder(open_model(model), text=text_side, runtime=runtime)
    runs = given.runs_over(encoder, sources, collection=collection, terms=terms, shard=shard, with_location=with_location)
    report, stop = runs[0].report, runs[0].stop
    bring = partial(index_source, field_type=field_type, even_if_many=yes)
    engine = common.connected(url)
    with (
        common.accounted(report, as_json),
        common.stopped_by_ctrl_c(stop),
        common.progress(f"{kind}s", report, partial(count_entries, sources)) as tick,
    ):
        for run, source in zip(runs, sources, strict=True):
            run.progress = tick
            (compare_source if dry_run else bring)(engine, run, source, name, keep_missing=keep_missing)
            if stop.is_set():
                break
