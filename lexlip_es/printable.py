"""Texts that may be shown: file names and captions are other people's."""


def printable(text: str) -> str:
    """The text with everything escaped that could steer a terminal, or turn the order of letters around, or is half a letter."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
