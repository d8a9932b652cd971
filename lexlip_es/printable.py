"""Texts that may be shown and sent: file names, captions and queries are other people's."""


def printable(text: str) -> str:
    """The text with everything escaped that could steer a terminal, or turn the order of letters around, or is half a letter."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def encodable(text: str) -> str:
    """The text with a question mark for every half of a surrogate pair, which UTF-8 cannot say: as many characters."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
