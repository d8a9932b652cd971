"""When an installed client does not fit: one sentence with the pip command that mends it."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from lexlip_es.errors import LexlipError


@contextmanager
def fitting(package: str, requirement: str) -> Iterator[None]:
    """Within it a client is imported and built; where it is missing or its interface differs, raise `LexlipError`."""
    try:
        yield
    except (ImportError, AttributeError, TypeError) as error:
        try:
            installed = f"{package} {version(package)}, which is installed, does not fit"
        except PackageNotFoundError:
            installed = f"{package} is not installed"
        raise LexlipError(f"{installed}: pip install '{requirement}'.") from error
