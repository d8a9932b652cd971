"""`lexlip-es evaluate`: how good a model is on captioned pictures, in memory and through the engine, or on labelled ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lexlip_es.cli import common
from lexlip_es.errors import UsageError

if TYPE_CHECKING:
    from lexlip_es.dialects import QueryForm
    from lexlip_es.drift import Drift
    from lexlip_es.encoders import Encoder
    from lexlip_es.evaluating import EncodedPictures
    from lexlip_es.model_folder import ModelFolder, Pruning

Report = dict[str, Any]
Row = Sequence[str]


@dataclass(frozen=True)
class _Bootstrap:
    """How many resamples the intervals come from (0: no intervals), and the seed that draws them."""

    times: int
    seed: int


def evaluate(
    images: Annotated[Path, typer.Option("--images", help="The folder of pictures.")],
    captions: Annotated[
        Path | None, typer.Option("--captions", help="CSV, TSV, JSONL or JSON with the pictures' captions; or --labels.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="CSV, TSV or JSONL with each picture's label: zero-shot classification instead of search."),
    ] = None,
    template: Annotated[
        str | None, typer.Option("--template", help='With --labels: the query of a class, as in "a photo of a {}"; default: {}.')
    ] = None,
    files: common.FilesOption = None,
    curve: Annotated[bool, typer.Option("--curve", help="Also recall over terms kept a picture and a query, in memory.")] = False,
    bootstrap: Annotated[
        int, typer.Option("--bootstrap", min=0, max=1_000_000, help="Resamples for the 95 % intervals; 0: no intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws the resamples.")] = 0,
    engine: Annotated[bool, typer.Option("--engine", help="Also search through the engine, and compare rank by rank.")] = False,
    index: common.IndexOption = None,
    form: common.FormOption = None,
    texts_index: Annotated[str | None, typer.Option("--texts-index", help="The index of the captions; default: texts.")] = None,
    collection: Annotated[str | None, typer.Option("--collection", help="The collection of the indexed pictures.")] = None,
    texts_collection: Annotated[str | None, typer.Option("--texts-collection", help="The collection of the texts.")] = None,
    terms: common.TermsOption = None,
    query_terms: Annotated[
        int | None, typer.Option("--query-terms", min=1, help="Terms kept a query; default: the model's.")
    ] = None,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
    url: common.UrlOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Measure R@1/5/10 and the median rank, text to picture and picture to text (there hit@k: any of its captions).

    With --labels instead of --captions: the accuracy of zero-shot classification, with class names as queries.
    """
    if (captions is None) == (labels is None):
        raise UsageError("evaluate needs one of --captions FILE (search) and --labels FILE (classification).")
    if labels and (engine or curve):
        raise UsageError("--engine and --curve measure search: give --captions FILE instead of --labels.")
    if template is not None and not labels:
        raise UsageError("--template is the query of a class: give --labels FILE with it.")
    from lexlip_es.encoders import load_encoder
    from lexlip_es.model_folder import open_model

    opened = open_model(model)
    encoder = load_encoder(opened, text=text_side, runtime=runtime)
    resampling = _Bootstrap(bootstrap, seed)
    if labels:
        pruning = opened.pruning.unless(terms, query_terms)
        result, lines = _classification(encoder, images, labels, files, template, pruning, resampling)
    else:
        assert captions is not None
        places = _Places(index, texts_index, collection, texts_collection, url, form) if engine else None
        result, lines = _search(encoder, images, captions, files, terms, query_terms, places, curve, resampling)
    if as_json:
        common.answer(result)
        return
    for line in lines:
        common.show(line)


@dataclass(frozen=True)
class _Places:
    """Where pictures and texts were indexed, as the options name it."""

    index: str | None
    texts_index: str | None
    collection: str | None
    texts_collection: str | None
    url: str | None
    form: "QueryForm | None"


def _search(
    encoder: "Encoder",
    images: Path,
    captions: Path,
    files: Path | None,
    terms: int | None,
    query_terms: int | None,
    places: _Places | None,
    curve: bool,
    resampling: _Bootstrap,
) -> tuple[Report, list[str]]:
    from lexlip_es import evaluating
    from lexlip_es.curves import curve as curve_of
    from lexlip_es.loading import Run

    model = encoder.model
    data = evaluating.read_captioned_pictures(images, captions, files)
    _name_missing(data.missing, "captioned", images)
    indexed = None
    if places:  # before hours of encoding
        indexed = evaluating.IndexedData.check(
            common.connected(places.url),
            model,
            data,
            pictures=places.index,
            texts=places.texts_index,
            picture_collection=Run.of(encoder, images, collection=places.collection).collection,
            text_collection=Run.of(encoder, captions, collection=places.texts_collection).collection,
            form=places.form,
        )
    with common.progress("pictures") as tick:
        encoded = evaluating.encode(encoder, data, tick)
    pruning = model.pruning.unless(terms or (indexed.terms if indexed else None), query_terms)
    memory = evaluating.measure(encoded, data, pruning)
    measured = {"memory": memory}
    if indexed:
        measured["engine"] = evaluating.measure_on_engine(indexed, model, encoded, pruning, common.say)
    result: Report = {"model": model.identity, "pictures": len(data.names), "texts": len(data.texts), **_pruned(pruning)}
    rows: list[Row] = [("where", "direction", "measure", "k = 1", "k = 5", "k = 10", "median rank")]
    for where, found in measured.items():
        result[where] = found.to_json()
        spread = found.intervals(data, resampling.times, resampling.seed) if resampling.times else {}
        for direction, interval in spread.items():
            result[where][direction]["interval_95"] = interval
        for direction, recall in (("text_to_picture", found.text_to_picture), ("picture_to_text", found.picture_to_text)):
            values = (recall.at_1, recall.at_5, recall.at_10, recall.median_rank)
            cells = _cells(values, spread.get(direction))
            rows.append((where, direction.replace("_", " "), "hit@k" if direction == "picture_to_text" else "R@k", *cells))
    lines = [f"{len(data.names)} pictures of {pruning.picture_terms} terms, {len(data.texts)} texts of {pruning.query_terms}", ""]
    lines += _table(rows)
    if indexed:
        result["ranks_that_differ"] = memory.differing(measured["engine"])
        lines.append(f"ranks that differ between memory and engine: {result['ranks_that_differ']}")
    lines += _describe(result, encoded, model, pruning, resampling)
    if curve:
        points = list(curve_of(encoded, data))
        result["curve"] = [point.to_json() for point in points]
        grid: list[Row] = [("terms a picture", "terms a query", "R@1", "R@5", "R@10", "median rank", "FLOPS")]
        for point in points:
            found_there, kept = point.text_to_picture, point.pruning
            values = (found_there.at_1, found_there.at_5, found_there.at_10, found_there.median_rank)
            grid.append((str(kept.picture_terms), str(kept.query_terms), *_cells(values, None), f"{point.flops:.3f}"))
        lines += ["", "text to picture, by terms kept", *_table(grid)]
    return result, lines


def _classification(
    encoder: "Encoder",
    images: Path,
    labels: Path,
    files: Path | None,
    template: str | None,
    pruning: "Pruning",
    resampling: _Bootstrap,
) -> tuple[Report, list[str]]:
    from lexlip_es import zero_shot

    model = encoder.model
    template = zero_shot.PLACE if template is None else template
    data = zero_shot.read_labelled_pictures(images, labels, files)
    _name_missing(data.missing, "labelled", images)
    with common.progress("pictures") as tick:
        encoded = zero_shot.encode_labelled(encoder, data, template, tick)
    found = zero_shot.classify(encoded, data, pruning)
    spread = found.intervals(resampling.times, resampling.seed) if resampling.times else None
    result: Report = {
        "model": model.identity,
        "pictures": len(data.names),
        "classes": len(data.classes),
        "template": template,
        **_pruned(pruning),
        "zero_shot": found.to_json() | ({"interval_95": spread} if spread else {}),
    }
    cells = _cells((found.top_1, found.top_5, found.mean_per_class), spread)
    lines = [
        f"{len(data.names)} pictures of {pruning.picture_terms} terms, {len(data.classes)} classes asked as {template!r}",
        "",
        *_table([("accuracy", "top-1", "top-5", "mean per class"), ("zero-shot", *cells)]),
    ]
    mute = [one.label for one in found.per_class if not one.query_terms]
    if mute:
        lines.append(f"classes that this model has no term for: {', '.join(mute)}")
    return result, lines + _describe(result, encoded, model, pruning, resampling)


def _pruned(pruning: "Pruning") -> Report:
    return {"picture_terms": pruning.picture_terms, "query_terms": pruning.query_terms}


def _describe(
    result: Report, encoded: "EncodedPictures", model: "ModelFolder", pruning: "Pruning", resampling: _Bootstrap
) -> list[str]:
    """Add what both kinds of evaluation tell of the weights and of the intervals, and give the lines that show it."""
    found = {"unpruned": encoded.sparsity(), "pruned": encoded.sparsity(pruning)}
    drift = encoded.drift(model.lexicon, pruning)
    result["sparsity"] = {name: sparsity.to_json() for name, sparsity in found.items()}
    result["drift"] = drift.to_json()
    lines = []
    if resampling.times:
        result["bootstrap"] = {"resamples": resampling.times, "seed": resampling.seed}
        lines.append(f"[95 % intervals over pictures, {resampling.times} resamples, seed {resampling.seed}]")
    rows: list[Row] = [("weights", "terms a picture", "terms a text", "FLOPS")]
    for name, one in found.items():
        rows.append((name, f"{one.picture_non_zeros:.1f}", f"{one.text_non_zeros:.1f}", f"{one.flops:.3f}"))
    return [*lines, "", *_table(rows), "", *_drift_lines(drift)]


def _drift_lines(drift: "Drift") -> list[str]:
    rows: list[Row] = [(f"carried by {drift.high_share:.0%} of the pictures or more", "terms, and the share of pictures")]
    for kind, terms in drift.suspicious.items():
        rows.append((kind.replace("_", " "), ", ".join(map(str, terms)) or "none"))
    rows.append(("most carried of all", ", ".join(map(str, drift.most_carried)) or "none"))
    return _table(rows)


def _cells(values: Sequence[float], spread: Mapping[str, tuple[float, float]] | None) -> list[str]:
    """Measures to one decimal, each with its interval where there is one; both are in the same order."""
    if not spread:
        return [f"{value:.1f}" for value in values]
    return [f"{value:.1f} [{low:.1f}, {high:.1f}]" for value, (low, high) in zip(values, spread.values(), strict=True)]


def _table(rows: Sequence[Row]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _name_missing(missing: int, kind: str, images: Path) -> None:
    if missing:
        common.say(f"{missing} {kind} pictures are not under {images}: left out")
