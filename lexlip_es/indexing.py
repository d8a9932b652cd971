"""Bringing an index up to date with a source: load what is new, then take out what is gone, then group what looks the same.

The index itself is the only state. A run that was killed at any moment is simply run again: what was done is seen to be done.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lexlip_es.changes import MOST_GONE, Comparison, Encode, Reuse, Same, below
from lexlip_es.dialects import FieldType
from lexlip_es.documents import document_id
from lexlip_es.duplicates import group_duplicates
from lexlip_es.engines.protocol import Engine
from lexlip_es.entries import Found, Skipped, digest, path_bytes, path_text
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.holdings import Held, Holdings, milliseconds, read_documents, read_holdings, read_some
from lexlip_es.images import PictureError
from lexlip_es.loading import IndexStore, Run, Source, columns_declared, kind_of, load, tasks_of
from lexlip_es.names import index_name
from lexlip_es.report import Report
from lexlip_es.shards import WHOLE
from lexlip_es.sources import open_picture_source
from lexlip_es.sources.folder import PictureFolder
from lexlip_es.target import Target, find_target, open_target
from lexlip_es.texts import TextFile, key_bytes

NO_CAPTIONS = Path("-")  # in the place of a captions file: this folder has none


def index_source(
    engine: Engine,
    run: Run,
    source: Source,
    index: str | None = None,
    *,
    field_type: FieldType | None = None,
    write_once: bool | None = None,
    compress: bool | None = None,
    keep_missing: bool = False,
    even_if_many: bool = False,
) -> Report:
    """Bring the documents of a source under an alias (default `pictures` or `texts`) up to date.

    New and changed pictures are encoded, moved ones keep their terms, and documents whose files are gone from the source's root
    are removed, unless `keep_missing`, and unless they are more than a fifth, which `even_if_many` allows. Columns that the
    source declares become fields of the index; of those that it does not declare, documents keep what they have. `field_type`,
    `write_once` and `compress` as for `open_target`. Raises `LexlipError` for a dead engine or an index that does not fit; what
    was done until then is in the run's report.
    """
    alias = index_name(index, kind_of(source))
    made: dict[str, Any] = {"field_type": field_type, "write_once": write_once, "compress": compress}
    made["columns"] = columns_declared(source)
    with open_target(engine, alias, run.encoder.model, kind_of(source), run.terms, **made) as target:
        store = IndexStore(engine, target.index)
        _bring_up_to_date(engine, run, source, store, keep_missing, even_if_many)
        target.complete = not run.report.interrupted and run.shard == WHOLE
    return run.report


def index_paths(
    engine: Engine,
    run: Run,
    folder: PictureFolder,
    paths: Collection[bytes],
    index: str | None = None,
    *,
    unsettled: Collection[bytes] = (),
    keep_missing: bool = False,
    even_if_many: bool = False,
    removed_before: int = 0,
    is_there: Callable[[], bool] = lambda: True,
) -> Report:
    """Bring the documents of these paths below a folder's root, and of what lies below them, up to date; looks at no others.

    A path may be of a file or a folder, or of one that is gone. `unsettled` files are left as they are. Removed is as in
    `index_source`, but what was `removed_before` counts too, and only where the root still `is_there` in the end. What looks
    the same is not grouped. Raises as `index_source` does.
    """
    report, alias = run.report, index_name(index, "picture")
    with open_target(engine, alias, run.encoder.model, "picture", run.terms) as target:
        some = folder.again(paths, unsettled)
        comparison = Comparison(
            _holdings_of(engine, run, some, paths, unsettled, target.index), run.collection, folder.root, run.shard
        )
        load(run, some, IndexStore(engine, target.index), comparison)
        if not (report.interrupted or keep_missing) and is_there():
            all_of = [{"term": {"collection": run.collection}}, {"term": {"root": folder.root}}]
            of = engine.count(target.index, {"bool": {"filter": all_of}}) + removed_before
            moved, lost = _gone(engine, target.index, folder, comparison, report, even_if_many, of=of, before=removed_before)
            _remove(engine, target.index, [*moved, *lost], report)
            _count_gone(report, len(moved), len(lost))
    return report


def _holdings_of(
    engine: Engine, run: Run, some: PictureFolder, paths: Collection[bytes], unsettled: Collection[bytes], index: str
) -> Holdings:
    """What the index holds of these paths and of what lies below them, and of the contents that they have now."""

    def ids(relatives: Iterable[bytes]) -> set[str]:
        return {document_id(run.collection, relative) for relative in relatives}

    found = {entry.relative: entry for entry in some.entries() if isinstance(entry, Found)}
    folders = [path_text(path) for path in paths if path not in found]  # or what was one
    left = ids(unsettled)
    held = {
        each.id: each
        for each in read_some(engine, index, run.collection, ids=ids([*paths, *found]) - left, folders=folders)
        if each.id not in left and run.shard.has(each.id)
    }
    contents = set()
    for entry in found.values():
        before = held.get(document_id(run.collection, entry.relative))
        if before is None or (before.size, before.modified) != (entry.size, milliseconds(entry.modified)):
            with suppress(PictureError):  # which the load will meet again
                contents.add(digest(entry.place))
    twins = read_some(engine, index, run.collection, contents=contents)
    return Holdings(held.values(), [twin for twin in twins if twin.id not in held])


def compare_source(
    engine: Engine,
    run: Run,
    source: Source,
    index: str | None = None,
    *,
    field_type: FieldType | None = None,
    write_once: bool | None = None,
    compress: bool | None = None,
    keep_missing: bool = False,
    even_if_many: bool = False,
) -> Report:
    """What `index_source` would do, in the run's report; writes nothing. Only for pictures; raises as `index_source` does."""
    if isinstance(source, TextFile):
        raise UsageError("a dry run compares pictures with their files, and these are texts: leave out --dry-run.")
    report = run.report
    report.dry_run = True
    alias = index_name(index, "picture")
    made: dict[str, Any] = {"field_type": field_type, "write_once": write_once, "compress": compress}
    made["columns"] = source.meta_schema
    target = find_target(engine, alias, run.encoder.model, "picture", run.terms, **made)
    comparison = _comparison(engine, run, source, target, even_if_many)
    store = IndexStore(engine, target.index if target is not None else alias)
    for task in tasks_of(run, source, store, comparison) if target is not None else comparison.tasks(source.entries()):
        run.progress()
        if isinstance(task, Skipped):
            report.skipped.append((task.display_path, task.reason))
        elif isinstance(task, Same):
            report.unchanged += 1
        elif isinstance(task, Encode | Reuse):
            report.count(task.fate)
        if isinstance(task, Reuse) and task.fate == "added":
            comparison.reused[task.content_hash] += 1
        if run.stop.is_set():
            report.interrupted = True
            return report
    if target is not None and source.complete and not keep_missing:
        moved, lost = _gone(engine, target.index, source, comparison, report, even_if_many)
        _count_gone(report, len(moved), len(lost))
    return report


def open_sources(
    pictures: Sequence[str],
    texts: Sequence[Path],
    *,
    captions: Sequence[Path] = (),
    files: Path | None = None,
    **options: Any,
) -> list[Source]:
    """Sources of one kind, each looked at before any server is; a list of files is for a single one.

    captions: one file for each place of pictures, in their order, or none at all; `-` stands for one without captions. options:
    as for `open_picture_source`. Raises `UsageError` for what does not go together, `LexlipError` for what is missing or empty.
    """
    if bool(pictures) == bool(texts):
        raise UsageError("one kind of things at a time: give pictures with --images, or files of texts with --texts.")
    count = len(pictures) + len(texts)
    if count > 1 and files:
        raise UsageError("--files says something about one source: leave it out, or give one source.")
    if captions and len(captions) != count:
        raise UsageError(
            f"there are {count} sources and {len(captions)} --captions, which go together in their order: give one for "
            "each, and - where there are none."
        )
    if texts:
        given = [name for name, value in {"captions": captions, **options}.items() if value]
        if given:
            raise UsageError(f"--{given[0].replace('_', '-')} says something about pictures: leave it out with --texts.")
        return [TextFile(path, files) for path in texts]
    paired = [None if file == NO_CAPTIONS else file for file in captions] or [None] * count
    return [
        open_picture_source(place, files=files, captions=file, **options) for place, file in zip(pictures, paired, strict=True)
    ]


def count_entries(sources: Sequence[Source]) -> int:
    """How many pictures there are to look at, by a walk of its own; raises what a walk raises."""
    return sum(1 for source in sources if not isinstance(source, TextFile) for _ in source.entries())


def _bring_up_to_date(
    engine: Engine, run: Run, source: Source, store: IndexStore, keep_missing: bool, even_if_many: bool
) -> None:
    engine.patient().refresh(store.index)  # what a run that crashed has sent shall be seen
    comparison = _comparison(engine, run, source, store.index, even_if_many)
    load(run, source, store, comparison)
    report = run.report
    if report.interrupted:
        return
    if source.complete and not keep_missing:
        moved, lost = _gone(engine, store.index, source, comparison, report, even_if_many)
        _remove(engine, store.index, [*moved, *lost], report)
        _count_gone(report, len(moved), len(lost))
    if isinstance(source, TextFile):
        return
    if run.with_location and report.unchanged:
        report.notes.append(f"{report.unchanged} unchanged pictures keep the place that they have, or none: a rebuild adds it.")
    if run.shard == WHOLE:
        # Always: a run that was killed may have left documents that nobody has grouped, and nothing else to do.
        group_duplicates(engine, store.index)
    else:
        report.notes.append("copies are not grouped by a run over a shard: after all of them, run once without --shard.")


def _comparison(engine: Engine, run: Run, source: Source, index: str | Target | None, takes_over: bool = False) -> Comparison:
    name = index.index if isinstance(index, Target) else index
    key, root = (key_bytes, "") if isinstance(source, TextFile) else (path_bytes, source.root)
    held = read_holdings(engine, name, run.collection, run.shard, key=key) if name else Holdings()
    return Comparison(held, run.collection, root, run.shard, takes_over)


def _gone(
    engine: Engine,
    index: str,
    source: Source,
    comparison: Comparison,
    report: Report,
    even_if_many: bool = False,
    *,
    of: int | None = None,
    before: int = 0,
) -> tuple[list[Held], list[Held]]:
    """The documents whose files were not met: those whose content has another document now, and those that are lost.

    What may lie behind something that could not be read is not among them; neither are the lost ones where they are so many that
    a disk may not be mounted (design contract 5). Both are said in the report. `of` is how many documents the root has,
    by default those of the comparison, and `before` how many of these were removed already.
    """
    gone, under = comparison.held.gone_from(comparison.root)
    of = under if of is None else of
    if gone and not isinstance(source, TextFile) and not source.is_there():
        report.gone += len(gone)
        report.notes.append(f"{source.root} went away during the run, so none of its {len(gone)} missing pictures was removed.")
        return [], []
    if gone and comparison.hidden:
        paths = read_documents(engine, index, [held.id for held in gone], ["path"])  # some may be removed by another run
        visible = [held for held in gone if held.id in paths and not below(paths[held.id]["path"], comparison.hidden)]
        if len(visible) < len(gone):
            report.notes.append(
                f"{len(gone) - len(visible)} documents stay, as their files may lie behind what could not be read."
            )
        gone = visible
    moved: list[Held] = []
    lost: list[Held] = []
    for held in gone:  # a content that has one new place has moved once, however many it was gone from
        is_moved = comparison.reused[held.content_hash] > 0
        comparison.reused[held.content_hash] -= is_moved
        (moved if is_moved else lost).append(held)
    if lost and before + len(lost) > MOST_GONE * of and not even_if_many:
        report.notes.append(
            f"{len(lost)} of {of} {kind_of(source)}s are gone from {source.root}, and none of these documents was removed: "
            "look whether a disk is missing, or remove them with --yes."
        )
        report.gone += len(lost)
        lost = []
    return moved, lost


def _remove(engine: Engine, index: str, gone: Sequence[Held], report: Report) -> None:
    def deletions() -> Iterator[dict[str, Any]]:
        for held in gone:
            yield {"_id": held.id, "delete": True}

    for result in engine.bulk(index, deletions()):
        if not result.ok:
            raise LexlipError(f"document {result.id} could not be removed from {index} ({result.error_type}: {result.reason}).")


def _count_gone(report: Report, moved: int, lost: int) -> None:
    """A file that moved was counted as added before its old place was seen to be empty."""
    report.added -= moved
    report.moved += moved
    report.removed += lost
