"""`lexlip-es search`: ranked pictures for a sentence, or for a picture."""

from pathlib import Path
from typing import Annotated

import typer

from lexlip_es.cli import common


def search(
    text: Annotated[str | None, typer.Argument(help='What to look for: "a dog on a beach".')] = None,
    image: Annotated[
        Path | None, typer.Option("--image", help="Look for what is like this picture: texts, or other pictures.")
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, max=10_000, help="How many hits.")] = 10,
    index: common.IndexOption = None,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
    url: common.UrlOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Search an index by a sentence, or by a picture with --image."""
    from lexlip_es.encoders import load_encoder
    from lexlip_es.model_folder import open_model
    from lexlip_es.searching import Searcher, default_index, require_subject

    require_subject(text, image)
    encoder = load_encoder(open_model(model), text=text_side, runtime=runtime)
    searcher = Searcher(common.connected(url), encoder, default_index(index))
    result = searcher.by_picture(image, k) if image else searcher.by_text(text or "", k)
    if as_json:
        common.answer(result.to_json())
        return
    for place, hit in enumerate(result.hits, 1):
        print(f"{place:3d}  {hit.score:8.4f}  {hit.full_path}" + (f"  {hit.caption}" if hit.caption else ""))
        print("               " + "  ".join(f"{share.piece} {share.contribution:.3f}" for share in hit.terms[:8]))
    if not result.hits:
        common.say(f"nothing in {result.index} shares a term with the query.")
