"""What measurements share: the options of those on captioned pictures, and telling what was found."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def captioned_pictures(about: str | None) -> argparse.ArgumentParser:
    """A parser with --images, --captions, --files and --model; `about` is the script's own docstring."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    return parser


def timed_searches(about: str | None) -> argparse.ArgumentParser:
    """A parser with the options of those that time searches of an index; `about` is the script's own docstring."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", required=True, help="an index of real pictures of the model")
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("--files", type=Path, help="a list of the pictures whose captions are asked")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--made", type=int, default=0)
    parser.add_argument("--out", type=Path)
    return parser


def tell(found: Mapping[str, Any], out: Path | None) -> None:
    """Print it as JSON, and write it to `out` where that is given."""
    text = json.dumps(found, indent=2)
    if out:
        out.write_text(text + "\n")
    print(text)
