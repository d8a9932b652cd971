"""`lexlip-es search`: ranked pictures for a sentence, or for a picture."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lexlip_es.cli import common

if TYPE_CHECKING:
    from lexlip_es.searching import Searcher, SearchResult


def search(
    text: Annotated[str | None, typer.Argument(help='What to look for: "a dog on a beach".')] = None,
    image: Annotated[
        Path | None, typer.Option("--image", help="Look for what is like this picture: texts, or other pictures.")
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, max=10_000, help="How many hits.")] = 10,
    show_all: Annotated[bool, typer.Option("--all", help="Show each of several duplicates, instead of the best one.")] = False,
    literal: common.LiteralOption = False,
    hybrid: common.HybridOption = False,
    why: Annotated[bool, typer.Option("--why", help="Show what each typed word gave to each score.")] = False,
    min_score: Annotated[float | None, typer.Option("--min-score", help="Hide hits that score less.")] = None,
    cut: Annotated[
        bool, typer.Option("--cut/--no-cut", help="Hide pictures that have too little of the best score that the query allows.")
    ] = True,
    index: common.IndexOption = None,
    form: common.FormOption = None,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
    url: common.UrlOption = None,
    as_json: common.JsonOption = False,
    html: common.HtmlOption = None,
) -> None:
    """Search an index by a query, or by a picture with --image.

    A query is a sentence; in it dog^2 weighs twice as much, "red car" is searched without expansion, +beach and -leash say which
    terms a picture must have or must not, and taken:2024..2025, folder:holidays/, camera:fuji, width:>2000, height:, tag:x and
    like:PATH say what it must be like. Write -- before a query that begins with a minus.
    """
    from lexlip_es.cli.reasons import show_reasons
    from lexlip_es.encoders import load_encoder
    from lexlip_es.model_folder import open_model
    from lexlip_es.queries import CAPTION, DETAILS
    from lexlip_es.searching import Searcher
    from lexlip_es.subjects import Subject
    from lexlip_es.why import explained_json

    encoder = load_encoder(open_model(model), text=text_side, runtime=runtime)
    subject = Subject.of(encoder, text, image, literal=literal, hybrid=hybrid)  # before the engine, which may have to be started
    searcher = Searcher(common.connected(url, briefly=True), encoder, index, form, local_files=True)
    details = (*DETAILS, CAPTION) if html is not None else ()
    result = searcher.search(subject, k, all=show_all, hybrid=hybrid, min_score=min_score, cut_off=cut, details=details)
    if html is not None:
        _write_gallery(html, searcher, result)
    for note in result.notes:
        common.say(note)
    if as_json:
        common.answer(result.to_json(explained_json) if why else result.to_json())
        return
    for place, hit in enumerate(result.hits, 1):
        alike = f"  (and {hit.duplicates} like it)" if hit.duplicates else ""
        common.show(f"{place:3d}  {hit.score:8.4f}  {hit.full_path}{alike}" + (f"  {hit.caption}" if hit.caption else ""))
        if why:
            show_reasons(hit, " " * 15)
            continue
        shares = [f"{share.field}: {share.contribution:.3f}" for share in hit.texts]
        shares += [f"{share.piece} {share.contribution:.3f}" for share in hit.terms[:8]]
        common.show("               " + "  ".join(shares))
    if result.folded:
        common.say(f"{result.folded} duplicates are not shown: --all shows them.")
    if not (result.hits or result.cut):
        common.say(f"nothing in {result.index} matches the query.")


def _write_gallery(file: Path, searcher: "Searcher", result: "SearchResult") -> None:
    from lexlip_es.engines.node.places import Places
    from lexlip_es.gallery import gallery, write_page
    from lexlip_es.library import Library, known_roots
    from lexlip_es.thumbnails import Thumbnails

    with Thumbnails(Places.find(os.environ).thumbnails) as thumbnails:
        roots = known_roots(searcher.engine, result.index)
        library = Library(searcher.engine, result.index, thumbnails, roots)
        write_page(file, gallery(result, library.thumbnail))
