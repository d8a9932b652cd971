"""`lexlip-es index`: pictures, or texts, into an index."""

import json
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lexlip_es.cli import common
from lexlip_es.cli import sources as given
from lexlip_es.errors import UsageError

if TYPE_CHECKING:
    from lexlip_es.loading import Run, Source
    from lexlip_es.report import Report
    from lexlip_es.watching import Batch


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
    write_once: given.WriteOnceOption = None,
    compress: given.CompressOption = None,
    shard: given.ShardOption = None,
    keep_missing: Annotated[bool, typer.Option("--keep-missing", help="Keep documents whose files are gone.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is gone even where that is more than a fifth.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Then go on: what changes in the folders is indexed within seconds, until Ctrl-C."),
    ] = False,
    rescan: Annotated[
        float,
        typer.Option("--rescan", min=0, help="With --watch: minutes between two full comparisons, for network drives; 0: none."),
    ] = 60.0,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
    url: common.UrlOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Bring an index up to date with pictures (--images): new, changed, moved and removed ones. Or index texts (--texts).

    Run it again after a crash, or every night: what is the same is left alone. Exit codes: 0 all indexed, 1 failed or refused, 3
    some were skipped, 130 interrupted after finishing what was begun. A watch that Ctrl-C ends when nothing was to do ends with
    0.
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
    if watch and dry_run:
        raise UsageError("--watch writes and --dry-run does not: leave one of them out.")
    engine = common.connected(url)

    def bring(run: "Run", source: "Source") -> "Report":
        made: dict[str, Any] = {"field_type": field_type, "write_once": write_once, "compress": compress}
        do = compare_source if dry_run else index_source
        return do(engine, run, source, name, keep_missing=keep_missing, even_if_many=yes, **made)

    if watch:
        from lexlip_es.watching import watch_folders

        with common.stopped_by_ctrl_c(stop):
            interrupted = watch_folders(
                engine,
                runs,
                sources,
                name,
                compare=bring,
                keep_missing=keep_missing,
                even_if_many=yes,
                rescan=60 * rescan,
                tell=_Teller(as_json),
                say=common.say,
            )
        raise typer.Exit(130 if interrupted else 0)
    with (
        common.accounted(report, as_json),
        common.stopped_by_ctrl_c(stop),
        common.progress(f"{kind}s", report, partial(count_entries, sources)) as tick,
    ):
        for run, source in zip(runs, sources, strict=True):
            if stop.is_set():
                report.interrupted = True
                break
            run.progress = tick
            bring(run, source)


class _Teller:
    """Tells what a watch does: a line on stderr for each batch, and one of JSON on stdout if wanted."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._left_out: set[tuple[str, str]] = set()

    def __call__(self, batch: "Batch") -> None:
        for name, reason in (*batch.report.skipped, *batch.report.failed):
            if (name, reason) not in self._left_out:  # not every hour
                self._left_out.add((name, reason))
                common.say(f"left out {name}: {reason}")
        for note in batch.report.notes:
            common.say(note)
        common.say(f"{batch.root}: {batch.report.summary()}")
        if self._as_json:
            print(json.dumps(batch.to_json(), allow_nan=False), flush=True)
