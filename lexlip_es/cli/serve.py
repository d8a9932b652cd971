"""`lexlip-es serve`: a web page to search an index with, and its API."""

from pathlib import Path
from typing import Annotated

import typer

from lexlip_es.cli import common


def serve(
    host: Annotated[
        str, typer.Option("--host", help="The address to listen at; another than this machine's own needs LEXLIP_SERVE_TOKEN.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: any that is free.")] = 8790,
    allowed_hosts: Annotated[
        list[str] | None, typer.Option("--allow-host", help="Another name that browsers know the server by; may be repeated.")
    ] = None,
    roots: Annotated[
        list[Path] | None,
        typer.Option("--root", help="Show pictures below this folder only; may be repeated. Default: the index's folders."),
    ] = None,
    index: common.IndexOption = None,
    model: common.ModelOption = None,
    text_side: common.TextSideOption = "auto",
    runtime: common.RuntimeOption = "auto",
    url: common.UrlOption = None,
) -> None:
    """Serve a web page that searches an index, until Ctrl-C. Needs the serve extra.

    Only this machine reaches it, unless --host says otherwise and the environment has LEXLIP_SERVE_TOKEN, which everybody then
    has to give. Traffic is not encrypted: for other machines put a proxy with TLS before it, whose name --allow-host gives.
    """
    from lexlip_es.extras import require_extra

    require_extra("serve", "fastapi", "httptools", "orjson", "uvicorn")
    from lexlip_es.encoders import load_encoder
    from lexlip_es.model_folder import open_model
    from lexlip_es.names import index_name
    from lexlip_es.serve.running import Where, serve

    encoder = load_encoder(open_model(model), text=text_side, runtime=runtime)
    where = Where(host, port, allowed_hosts or (), roots or ())
    serve(common.connected(url), encoder, index_name(index), where, common.say)
