"""Who may ask the server: by which host names, from which pages, with which token. Pure functions, but for the secret's file.

A page of a stranger may have its name point to this machine (DNS rebinding), so names that are not known are refused; it may send
requests from its visitors' browsers, so other origins are.
"""

import hashlib
import hmac
import ipaddress
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lexlip_es.errors import LexlipError, UsageError

TOKEN = "LEXLIP_SERVE_TOKEN"
SHORTEST_TOKEN = 16  # signs: 64 bits, if they are hexadecimal digits drawn at random
_HERE = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address: `localhost`, `127.0.0.1` and what is like them."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Access:
    """The names by which the server may be asked, the token that it wants, if any, and the secret behind its addresses."""

    hosts: frozenset[str]
    token: str | None
    secret: bytes

    @classmethod
    def of(cls, host: str, allowed: Iterable[str], token: str | None, secret: bytes) -> "Access":
        """For a server at an address of this machine; allowed: other names that people and proxies know it by.

        Raises `UsageError` for an address that others reach without a token, and for a token that can be guessed.
        """
        if not token and not is_loopback(host):
            raise UsageError(
                f"other machines reach {host}, and anybody there would see the pictures: set {TOKEN} to a long random text, or "
                "leave out --host."
            )
        if token and len(token) < SHORTEST_TOKEN:
            raise UsageError(f"{TOKEN} can be guessed: give it at least {SHORTEST_TOKEN} random signs.")
        return cls(frozenset(map(str.lower, (*_HERE, host, *allowed))), token or None, secret)

    def knows(self, host: str) -> bool:
        """Whether a `Host` header names this server, whatever the port."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name in self.hosts

    def accepts(self, token: str) -> bool:
        """Whether this is the token, found out in the same time for every wrong one of a length."""
        return self.token is None or _same(token, self.token)

    def accepts_session(self, cookie: str) -> bool:
        """Whether this is the cookie that whoever gave the token got."""
        return self.token is None or _same(cookie, self.session)

    @property
    def session(self) -> str:
        """The cookie of a browser whose user gave the token; another token makes it worthless."""
        return self._signed("session", self.token or "")

    def thumbnails_key(self, index: str) -> str:
        """The part of a thumbnail's address that nobody can guess, since an `<img>` of Kibana cannot send a token."""
        return self._signed("thumbnails", index)

    def is_thumbnails_key(self, key: str, index: str) -> bool:
        """Whether this is `thumbnails_key`."""
        return _same(key, self.thumbnails_key(index))

    def _signed(self, purpose: str, value: str) -> str:
        return hmac.new(self.secret, f"{purpose}\0{value}".encode(), hashlib.sha256).hexdigest()[:40]


def is_own_origin(origin: str, host: str) -> bool:
    """Whether an `Origin` header is of the page that this server gave under the name in `Host`."""
    scheme, _, place = origin.partition("://")
    return scheme in ("http", "https") and place.lower() == host.lower()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8", "replace"))


def kept_secret(path: Path) -> bytes:
    """The secret in a file that only this user may read, drawn the first time; raises `LexlipError` where it cannot be kept.

    Kept, since Kibana's address of thumbnails is to live longer than a run of the server.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
        try:
            os.link(part, path)  # of several servers that start at once one wins
        except FileExistsError:
            pass
        finally:
            part.unlink()
        return path.read_bytes()
    except OSError as error:
        raise LexlipError(f"the server's secret cannot be kept in {path} ({error.strerror}): set LEXLIP_HOME.") from error
