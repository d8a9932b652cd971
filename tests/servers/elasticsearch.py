"""Elasticsearch as a child process, from the distribution that its makers publish for integration tests."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lexlip_es.engines.node.jars import fetch, read_lock
from lexlip_es.engines.node.java import Java
from lexlip_es.engines.node.layout import Module, write_module
from lexlip_es.engines.node.places import Places
from lexlip_es.engines.node.process import FIRST_STAGE
from tests.servers.java import full_jdk, home_for_all, java_between
from tests.servers.server import Server, launch, make_folder

LOCKS = Path(__file__).with_name("locks")
HEAP = "512m"
USER = "nobody"  # Elasticsearch refuses root

# Published as jars of their own for 7.17, for clients; later versions publish them nowhere.
MODULES_7 = (
    Module("mapper-extras", ("mapper-extras-client",), "org.elasticsearch.index.mapper.MapperExtrasPlugin"),
    Module(
        "reindex",
        (
            "reindex-client",
            "elasticsearch-rest-client",
            "elasticsearch-ssl-config",
            "httpclient",
            "httpcore",
            "httpasyncclient",
            "httpcore-nio",
            "commons-codec",
            "commons-logging",
        ),
        "org.elasticsearch.reindex.ReindexPlugin",
    ),
    Module("lang-mustache", ("lang-mustache-client", "compiler"), "org.elasticsearch.script.mustache.MustachePlugin"),
    Module("rank-eval", ("rank-eval-client",), "org.elasticsearch.index.rankeval.RankEvalPlugin"),
)
_MUSTACHE_POLICY = """grant {
  permission java.lang.reflect.ReflectPermission "suppressAccessChecks";
  permission java.lang.RuntimePermission "accessDeclaredMembers";
};
"""

Secure = Callable[[Server, Path], dict[str, Any]]  # writes into the configuration folder, returns settings


def start_elasticsearch(
    name: str, version: str, cache: Path, secure: Secure | None = None, heap: str = HEAP, optimise: bool = False
) -> Server:
    """Start this version; with `secure`, as that function sets it up, else open to everybody on this machine.

    heap, optimise: as `embedded.start` takes them.
    """
    java = _java(version, cache)
    lock = read_lock((LOCKS / f"elasticsearch-{version}.lock").read_text("utf-8"))
    archive, *jars = fetch(lock, cache, product=f"Elasticsearch {version}")
    places = Places(make_folder(name), cache, version)
    home = _unpack(archive, places.engine, version)
    for folder in (places.data, places.logs, places.engine / "tmp"):
        folder.mkdir()
    for module in MODULES_7 if jars else ():
        own = [jar for jar, locked in zip(jars, lock[1:], strict=True) if locked.artifact in module.jars]
        write_module(home / "modules" / module.name, module, own, version, "elasticsearch")
    if jars:
        (home / "modules" / "lang-mustache" / "plugin-security.policy").write_text(_MUSTACHE_POLICY, "utf-8")
    server = Server(name, "", "elasticsearch", version, places.engine)
    security = secure(server, home / "config") if secure else {"xpack.security.enabled": False}
    _write_settings(home / "config" / "elasticsearch.yml", places, security)
    _write_options(home / "config" / "jvm.options", heap, optimise)
    env = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(places.engine),
        "LANG": "C.UTF-8",
        "ES_JAVA_HOME": str(home_for_all(java, places.engine)),
        "ES_TMPDIR": str(places.engine / "tmp"),
    }
    return launch(server, [str(home / "bin" / "elasticsearch")], places, env, USER)


def _java(version: str, cache: Path) -> Java:
    """A small runtime does for 7.17; its Java ends at 21."""
    if version.startswith("7."):
        return java_between(17, 21, cache)
    return full_jdk(17, "jdk.net") if version.startswith("8.") else full_jdk(21, "jdk.jlink", "jdk.incubator.vector")


def _unpack(archive: Path, folder: Path, version: str) -> Path:
    """The distribution's folder, with the modes that `zipfile` drops."""
    with zipfile.ZipFile(archive) as pack:
        for entry in pack.infolist():
            path = Path(pack.extract(entry, folder))
            if not entry.is_dir():
                path.chmod(entry.external_attr >> 16 & 0o777 or 0o644)
    return folder / f"elasticsearch-{version}"


def _write_settings(path: Path, places: Places, security: dict[str, Any]) -> None:
    settings = {
        "cluster.name": "lexlip-tests",
        "node.name": "node",
        "path.data": str(places.data),
        "path.logs": str(places.logs),
        "network.host": "127.0.0.1",
        "http.port": 0,  # the kernel's choice, which the node writes down
        "transport.port": 0,
        "node.portsfile": True,
        "discovery.type": "single-node",
        "cluster.routing.allocation.disk.threshold_enabled": False,
        **security,
    }
    path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items()), "utf-8")


def _write_options(path: Path, heap: str, optimise: bool) -> None:
    """Leave out the collector, and files in places that another user cannot write; the heap, and for tests the quickest start."""
    dropped = ("GC", "CMS", "gc", "HeapDump", "ErrorFile")
    lines = [line for line in path.read_text("utf-8").splitlines() if line and line[0] != "#"]
    kept = [line for line in lines if not any(word in line for word in dropped)]
    ours = [f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseSerialGC", *(() if optimise else (FIRST_STAGE,))]
    path.write_text("\n".join([*kept, *ours, ""]), "utf-8")
