"""OpenSearch as a child process: the embedded node itself, and other versions made from jars by the same code."""

import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lexlip_es.engines import embedded
from lexlip_es.engines.node.jars import fetch, read_lock
from lexlip_es.engines.node.java import find_java
from lexlip_es.engines.node.layout import MODULES, lay_out
from lexlip_es.engines.node.places import VERSION, Places
from lexlip_es.engines.node.process import command
from tests.servers.java import java_between
from tests.servers.server import Server, launch, make_folder

LOCKS = Path(__file__).with_name("locks")
HEAP = "512m"
MODULES_2 = tuple(replace(module, plugin=module.plugin.replace("ModulePlugin", "Plugin")) for module in MODULES)
_POLICY = "grant { permission java.security.AllPermission; };\n"


def start_embedded(name: str, cache: Path, heap: str = HEAP, optimise: bool = False) -> Server:
    """The node that the package itself starts, in a home of its own; jars and class archive are those of the user's cache."""
    home = make_folder(name)
    (home / "cache").symlink_to(cache.parent)
    node = embedded.start(home, heap=heap, optimise=optimise)

    def end() -> None:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)  # a link in it is removed, not followed

    return Server(name, node.url, "opensearch", VERSION, home, node.pid, end)


def start_opensearch(name: str, version: str, cache: Path, add: Callable[[Places], None] | None = None) -> Server:
    """Start this version; `add` may put plugins into the folder of the start.

    2.x needs the security manager that Java 24 no longer has: a policy allows everything.
    """
    second = version.startswith("2.")
    java = java_between(17, 23, cache) if second else find_java(cache.parent, os.environ)
    jars = fetch(read_lock((LOCKS / f"opensearch-{version}.lock").read_text("utf-8")), cache, product=f"OpenSearch {version}")
    places = Places(make_folder(name), cache, version)
    class_path = lay_out(places, jars, java, f"test-{secrets.token_hex(4)}", MODULES_2 if second else MODULES)
    if add:
        add(places)
    program, *options = command(java, places, class_path, HEAP)
    if second:
        policy = places.config / "java.policy"
        policy.write_text(_POLICY, "utf-8")
        options = ["-Djava.security.manager=allow", f"-Djava.security.policy={policy}", *options]
    return launch(Server(name, "", "opensearch", version, places.engine), [program, *options], places)
