"""The files that an index's documents name, on this machine.

What an index says is hostile: a document may name any file. One is looked at only where its real path lies below the root of its
document and below a folder that is allowed.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from lexlip_es.entries import path_bytes


def confined(root: str, path: str, allowed: Sequence[Path]) -> Path | None:
    """The real path of a document's file, or None where that is not below the document's root and below an allowed folder."""
    try:
        folder = local_path(root).resolve(strict=True)
        file = (folder / local_path(path)).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # gone, a loop of links, a NUL
        return None
    inside = root.startswith("/") and file.is_relative_to(folder) and any(map(file.is_relative_to, allowed))
    return file if inside else None


def local_path(text: str) -> Path:
    """The path that a document spells."""
    return Path(os.fsdecode(path_bytes(text)))
