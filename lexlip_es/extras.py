"""Optional parts: one sentence with the pip command when a command needs an extra that is not installed."""

from importlib.util import find_spec

from lexlip_es.errors import LexlipError


def require_extra(extra: str, *modules: str) -> None:
    """Raise `LexlipError` unless all modules can be imported; nothing is imported."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise LexlipError(f"this needs {', '.join(missing)}: pip install 'lexlip-es[{extra}]'.")
