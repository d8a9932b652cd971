"""Options that the measurements on captioned pictures share."""

import argparse
from pathlib import Path


def captioned_pictures(about: str | None) -> argparse.ArgumentParser:
    """A parser with --images, --captions, --files and --model; `about` is the script's own docstring."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    return parser
