"""`lexlip-es explain`: why a picture scores what it does for a sentence."""

from typing import Annotated

import typer

from lexlip_es.cli import common


def explain(
    text: Annotated[str, typer.Argument(help='What is looked for: "a dog on a beach".')],
    picture: Annotated[str, typer.Argument(help="A picture's id, its path in the index, or a picture file, indexed or not.")],
    literal: common.LiteralOption = False,
    hybrid: common.HybridOption = False,
    index: common.IndexOption = None,
    form: common.FormOption = None,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
    url: common.UrlOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Print what each typed word gives to a picture's score, by which terms. Filters and cut-offs aside."""
    from lexlip_es.cli.reasons import show_reasons
    from lexlip_es.encoders import load_encoder
    from lexlip_es.explaining import explain
    from lexlip_es.model_folder import open_model
    from lexlip_es.searching import Searcher
    from lexlip_es.subjects import Subject
    from lexlip_es.why import explained_json

    encoder = load_encoder(open_model(model), text=text_side, runtime=runtime)
    subject = Subject.of(encoder, text, literal=literal, hybrid=hybrid)
    searcher = Searcher(common.connected(url, briefly=True), encoder, index, form, local_files=True)
    hit = explain(searcher, subject, picture, hybrid=hybrid)
    if not hit.id:
        common.say(f"{picture} is not in {searcher.index}: it was encoded now and scored as the engine would by its terms.")
    if as_json:
        common.answer(explained_json(hit))
        return
    common.show(f"{hit.score:8.4f}  {hit.full_path}")
    show_reasons(hit, " " * 10)
