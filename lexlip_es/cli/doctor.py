"""`lexlip-es doctor`: are the server, the index and the model as they should be, and if not, what mends it?"""

from typing import Annotated

import typer

from lexlip_es.cli import common


def doctor(
    index: common.IndexOption = None,
    model: common.ModelOption = None,
    parity: Annotated[
        bool,
        typer.Option("--parity", help="Prove the server's scores with 50 made documents in an index that is thrown away."),
    ] = False,
    url: Annotated[
        str | None, typer.Option("--url", help="The server; default: LEXLIP_ES_URL, else the embedded OpenSearch, if it runs.")
    ] = None,
    as_json: common.JsonOption = False,
) -> None:
    """Look at server, rights, index, mapping and model. Starts and changes nothing, but --parity makes an index and removes it.

    Exit codes: 0 all well, or warnings; 1 a failure.
    """
    import os

    from lexlip_es.doctor import examine
    from lexlip_es.engines import ConnectionSettings
    from lexlip_es.names import index_name

    found = examine(ConnectionSettings.from_environment(os.environ, url=url), index_name(index), model, parity=parity)
    if as_json:
        common.answer(found.to_json())
    else:
        for line in found.lines:
            common.show(f"{line.state:8} {line.subject:12} {line.said}")
    if found.failed:
        raise typer.Exit(1)
