"""Where the engine is and who asks: the one description of a connection, read from the environment.

Secrets come from the environment alone (design contract 7). They are never part of a `repr`, a message or a log, and a URL
that carries a user and a password is taken apart at once, so that `urls` can be shown anywhere. A URL that cannot be read is
not shown at all: any part of it may be a password with a sign that should have been escaped.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lexlip_es.errors import UsageError

PREFIX = "LEXLIP_ES_"
OPTION = "--url"
_NEXT_URL = re.compile(r"[,\s]+(?=[A-Za-z]+://)")  # a comma within a password does not end a URL


@dataclass(frozen=True)
class ConnectionSettings:
    """A connection to an engine; without `urls` the embedded engine is meant.

    `urls` never hold credentials. At most one way of logging in is set: `api_key`, `bearer`, or `username` with `password`.
    `ca_certs` is a PEM file of the authorities that signed the engine's certificate.
    """

    urls: tuple[str, ...] = ()
    api_key: str | None = field(default=None, repr=False)
    bearer: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_certs: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is sent; raises `UsageError`."""
        for url in self.urls:
            _check_url(url, "the engine's address")
        if (self.username is None) != (self.password is None):
            raise UsageError(f"set both {PREFIX}USERNAME and {PREFIX}PASSWORD, or neither.")
        ways = [self.api_key, self.bearer, self.username]
        if sum(way is not None for way in ways) > 1:
            raise UsageError(
                f"more than one way to log in is set: keep one of {PREFIX}API_KEY, {PREFIX}BEARER, "
                f"or {PREFIX}USERNAME with {PREFIX}PASSWORD (a URL can carry the last two)."
            )
        for name, secret in (("API_KEY", self.api_key), ("BEARER", self.bearer)):
            if secret is not None and not (secret.isascii() and secret.isprintable()):
                raise UsageError(f"{PREFIX}{name} holds a sign that no key has, such as a line break: copy it again.")
        if self.ca_certs is not None and not self.ca_certs.is_file():
            raise UsageError(f"{PREFIX}CA_CERTS names {self.ca_certs}, which is not a file.")

    @classmethod
    def from_environment(cls, env: Mapping[str, str], *, url: str | None = None) -> "ConnectionSettings":
        """Read LEXLIP_ES_URL (several are comma-separated), _API_KEY, _BEARER, _USERNAME, _PASSWORD and _CA_CERTS.

        `url` is the option --url and wins over LEXLIP_ES_URL; a shell keeps what is typed, so it may hold no credentials.
        Credentials inside LEXLIP_ES_URL win over LEXLIP_ES_USERNAME and _PASSWORD. An empty variable counts as unset. Raises
        `UsageError`.
        """

        def read(name: str) -> str | None:
            return env.get(PREFIX + name, "").strip() or None

        if url and "@" in url:
            raise UsageError(
                f"{OPTION} takes no user or password, since the shell's history keeps them: set {PREFIX}USERNAME and "
                f"{PREFIX}PASSWORD, or {PREFIX}URL."
            )
        urls, username, password = [], read("USERNAME"), read("PASSWORD")
        for given in _NEXT_URL.split((url or read("URL") or "").strip(", ")):
            if not given:
                continue
            bare, user, secret = _without_credentials(given)
            _check_url(bare, OPTION if url else PREFIX + "URL")
            urls.append(bare)
            if user is not None:
                username, password = user, secret
        ca_certs = read("CA_CERTS")
        return cls(
            urls=tuple(urls),
            api_key=read("API_KEY"),
            bearer=read("BEARER"),
            username=username,
            password=password,
            ca_certs=None if ca_certs is None else Path(ca_certs).expanduser(),
        )

    @property
    def display(self) -> str:
        """The addresses as people may see them: no credentials."""
        return ", ".join(self.urls)


def _without_credentials(url: str) -> tuple[str, str | None, str | None]:
    """(URL, user, password) with the user and the password taken out of the URL.

    >>> _without_credentials("https://ann:s%3Acret@search.example/es")
    ('https://search.example/es', 'ann', 's:cret')
    """
    authority = url.partition("://")[2].split("/", 1)[0]
    if "@" not in authority:
        return url.rstrip("/"), None, None
    credentials, _, host = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    return url.replace(authority, host, 1).rstrip("/"), unquote(user), unquote(password)


def _check_url(url: str, source: str) -> None:
    """Raise `UsageError` for what is no URL of an engine; `source` says where it was given."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or any(sign in url for sign in "@, "):  # a second @: a password that is not escaped
        raise UsageError(
            f"{source} is not a URL of an engine: write it as http://HOST:PORT or https://HOST:PORT, "
            "and special signs in a password as %XX."
        )
    if "?" in url or "#" in url:
        raise UsageError(f"{source} is not a URL of an engine: leave out everything from '?' or '#' on.")
