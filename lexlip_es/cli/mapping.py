"""`lexlip-es mapping`: the index template of a model, printed for any HTTP client or installed on the server."""

from typing import Annotated

import typer

from lexlip_es.cli import common
from lexlip_es.names import Kind


def mapping(
    kind: Annotated[Kind, typer.Option("--kind", help="What the documents are.")] = "picture",
    index: common.IndexOption = None,
    family: common.FamilyOption = None,
    terms: common.TermsOption = None,
    model: common.ModelOption = None,
    install: Annotated[
        bool, typer.Option("--install", help="Put it on the server; the family is then the server's, unless --family says.")
    ] = False,
    search: Annotated[
        bool, typer.Option("--search-template", help="The stored search template instead: PUT it as _scripts/lexlip.")
    ] = False,
    url: common.UrlOption = None,
) -> None:
    """Print the composable index template for NAME-0* (NAME-000001 ...): PUT it as _index_template/lexlip-NAME, or use --install.

    Not needed for `lexlip-es index`. With it, an index that another loader makes is the same as ours.
    """
    from lexlip_es.mappings import SEARCH_TEMPLATE, model_template, search_template
    from lexlip_es.model_folder import open_model
    from lexlip_es.names import index_name

    if search:
        if not install:
            common.answer(search_template())
            return
        common.connected(url).request("PUT", f"/_scripts/{SEARCH_TEMPLATE}", body=search_template())
        common.say(f"installed the search template {SEARCH_TEMPLATE}: lexlip-es query --for template prints how to use it.")
        return
    alias, opened = index_name(index, kind), open_model(model)
    if not install:
        common.answer(model_template(opened, alias, kind, family=family, terms=terms).body)
        return
    engine = common.connected(url)
    template = model_template(opened, alias, kind, family=family, terms=terms, server=engine.server)
    engine.put_template(template.name, template.body)
    common.say(f"installed the index template {template.name} for {alias}-0*")
