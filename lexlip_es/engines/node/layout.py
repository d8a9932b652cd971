"""The folder that OpenSearch finds its modules and settings in, written anew by every start.

OpenSearch loads most of itself from the class path, and each module from a folder of its own with a descriptor. A distribution
ships that layout; from single jars it is made here.
"""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from lexlip_es.engines.node.java import Java
from lexlip_es.engines.node.places import Places


@dataclass(frozen=True)
class Module:
    """One module: its folder's name, its jars (without version), the class that registers it and the module it extends."""

    name: str
    jars: tuple[str, ...]
    plugin: str
    extends: str = ""


_PAINLESS = ("antlr4-runtime", "asm", "asm-analysis", "asm-commons", "asm-tree", "asm-util")
MODULES = (
    Module("transport-netty4", ("transport-netty4-client",), "org.opensearch.transport.Netty4ModulePlugin"),
    Module("mapper-extras", ("mapper-extras-client",), "org.opensearch.index.mapper.MapperExtrasModulePlugin"),
    Module("reindex", ("reindex-client",), "org.opensearch.index.reindex.ReindexModulePlugin"),
    Module("lang-mustache", ("lang-mustache-client", "compiler"), "org.opensearch.script.mustache.MustacheModulePlugin"),
    Module(
        "lang-painless",
        ("lang-painless", "opensearch-scripting-painless-spi", *_PAINLESS),
        "org.opensearch.painless.PainlessModulePlugin",
    ),
    Module(
        "analysis-common",
        ("analysis-common",),
        "org.opensearch.analysis.common.CommonAnalysisModulePlugin",
        "lang-painless",
    ),
    Module("rank-eval", ("rank-eval-client",), "org.opensearch.index.rankeval.RankEvalModulePlugin"),
)
_NEEDS_THAI = "analysis-common"

_LOG4J = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


def lay_out(places: Places, jars: list[Path], java: Java, node_name: str, known: tuple[Module, ...] = MODULES) -> list[Path]:
    """Write configuration and modules for this start; return the jars that belong on the class path."""
    by_name = {re.sub(r"-\d[^/]*\.jar$", "", jar.name): jar for jar in jars}
    for folder in (places.engine, places.config, places.data, places.logs):
        folder.mkdir(parents=True, exist_ok=True)
    modules = places.engine / "modules"
    shutil.rmtree(modules, ignore_errors=True)
    for module in known:
        own = [by_name.pop(name) for name in module.jars if name in by_name]  # rank-eval is not published for every version
        if own and (module.name != _NEEDS_THAI or java.thai):
            write_module(modules / module.name, module, own, places.version)
    (places.config / "log4j2.properties").write_text(_LOG4J, "utf-8")
    (places.config / "opensearch.yml").write_text(_settings(places, node_name), "utf-8")
    return list(by_name.values())


def last_layout(places: Places) -> tuple[str, float]:
    """(node name, Unix seconds) of the start that wrote the settings last; ("", 0.0) where they cannot be read."""
    path = places.config / "opensearch.yml"
    try:
        name = re.search(r'^node\.name: "(.*)"$', path.read_text("utf-8"), re.MULTILINE)
        return (name[1], path.stat().st_mtime) if name else ("", 0.0)
    except (OSError, ValueError):
        return "", 0.0


def write_module(folder: Path, module: Module, jars: list[Path], version: str, product: str = "opensearch") -> None:
    """Make the folder of one module: its jars and the descriptor that the server reads."""
    folder.mkdir(parents=True)
    for jar in jars:
        shutil.copyfile(jar, folder / jar.name)
    descriptor = {
        "name": module.name,
        "description": module.name,
        "version": version,
        f"{product}.version": version,
        "java.version": "11",  # the least that will do; the node itself asks for more
        "classname": module.plugin,
        "extended.plugins": module.extends,
        "has.native.controller": "false",
    }
    text = "".join(f"{key}={value}\n" for key, value in descriptor.items())
    (folder / "plugin-descriptor.properties").write_text(text, "utf-8")


def _settings(places: Places, node_name: str) -> str:
    """The node's settings as YAML (each value is JSON, which YAML contains).

    Ports are the kernel's choice, so that no two programs can want the same one; the node writes them to files. Disk
    thresholds stay at their defaults: a full disk makes indices read-only before it breaks them. Indices are made on
    request alone: one made by a misspelt name would store terms as floats. Breakers count what requests hold: the heap's
    real size includes garbage, which the serial collector leaves until it needs the room, and nodes under load refused
    everybody for it.
    """
    settings = {
        "cluster.name": "lexlip-es",
        "node.name": node_name,
        "path.data": str(places.data),
        "path.logs": str(places.logs),
        "network.host": "127.0.0.1",
        "http.port": 0,
        "transport.port": 0,
        "node.portsfile": True,
        "discovery.type": "single-node",
        "action.auto_create_index": False,
        "indices.breaker.total.use_real_memory": False,
    }
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())
