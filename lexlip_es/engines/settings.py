"""Where the engine is and who asks: the one description of a connection, read from the environment.

Secrets come from the environment alone (design contract 7). They are never part of a `repr`, a message or a log, and a URL
that carries a user and a password is taken apart at once, so that `urls` can be shown anywhere. A URL that cannot be read is
not shown at all: any part of it may be a password with a sign that should have been escaped.
"""

import base64
import binascii
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

    `urls` never hold credentials. At most one way of logging in is set: `api_key`, `bearer`, `username` with `password`, or
    `aws_region` (requests are signed for `aws_service`, "es" or "aoss", with the credentials that AWS' tools find). Trust is
    `ca_certs`, a PEM file of the authorities that signed the engine's certificate, or `ca_fingerprint`, the SHA-256 in
    hexadecimal of that certificate or of its authority's; neither means the usual authorities. `client_cert` and
    `client_key` are PEM files with which we identify ourselves; the first may hold both.
    """

    urls: tuple[str, ...] = ()
    api_key: str | None = field(default=None, repr=False)
    bearer: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_certs: Path | None = None
    ca_fingerprint: str | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    aws_region: str | None = None
    aws_service: str = "es"

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is sent; raises `UsageError`."""
        for url in self.urls:
            _check_url(url, "the engine's address")
        if (self.username is None) != (self.password is None):
            raise UsageError(f"set both {PREFIX}USERNAME and {PREFIX}PASSWORD, or neither.")
        ways = [self.api_key, self.bearer, self.username, self.aws_region]
        if sum(way is not None for way in ways) > 1:
            raise UsageError(
                f"more than one way to log in is set: keep one of {PREFIX}API_KEY, {PREFIX}BEARER, {PREFIX}AWS_REGION, "
                f"or {PREFIX}USERNAME with {PREFIX}PASSWORD (a URL can carry the last two)."
            )
        for name, secret in (("API_KEY", self.api_key), ("BEARER", self.bearer)):
            if secret is not None and not (secret.isascii() and secret.isprintable()):
                raise UsageError(f"{PREFIX}{name} holds a sign that no key has, such as a line break: copy it again.")
        for name, path in (("CA_CERTS", self.ca_certs), ("CLIENT_CERT", self.client_cert), ("CLIENT_KEY", self.client_key)):
            if path is not None and not path.is_file():
                raise UsageError(f"{PREFIX}{name} names {path}, which is not a file.")
        if self.ca_fingerprint is not None:
            if not re.fullmatch("[0-9a-f]{64}", self.ca_fingerprint):
                raise UsageError(f"{PREFIX}CA_FINGERPRINT is not a SHA-256: 64 hexadecimal digits, with or without colons.")
            if self.ca_certs is not None:
                raise UsageError(f"{PREFIX}CA_CERTS and {PREFIX}CA_FINGERPRINT are both set: keep one.")
        if self.client_key is not None and self.client_cert is None:
            raise UsageError(f"{PREFIX}CLIENT_KEY is set without {PREFIX}CLIENT_CERT: set both.")
        trust = {"CA_CERTS": self.ca_certs, "CA_FINGERPRINT": self.ca_fingerprint, "CLIENT_CERT": self.client_cert}
        for name, given in trust.items():
            if given is not None and self.urls and not any(url.startswith("https:") for url in self.urls):
                raise UsageError(f"{PREFIX}{name} means nothing for {self.display}: write https://, or unset it.")
        if self.aws_service not in ("es", "aoss"):
            raise UsageError(f"{PREFIX}AWS_SERVICE is not a service that is known: write es, or aoss for Serverless.")

    @classmethod
    def from_environment(cls, env: Mapping[str, str], *, url: str | None = None) -> "ConnectionSettings":
        """Read LEXLIP_ES_URL (several are comma-separated) or LEXLIP_ES_CLOUD_ID, and who asks and whom to trust.

        Login: _USERNAME and _PASSWORD, _API_KEY, _BEARER, or _AWS_REGION with _AWS_SERVICE. Trust: _CA_CERTS or
        _CA_FINGERPRINT (with or without colons), _CLIENT_CERT and _CLIENT_KEY.

        `url` is the option --url and wins over LEXLIP_ES_URL; a shell keeps what is typed, so it may hold no credentials.
        Credentials inside LEXLIP_ES_URL win over LEXLIP_ES_USERNAME and _PASSWORD. An empty variable counts as unset. Raises
        `UsageError`.
        """

        def read(name: str) -> str | None:
            return env.get(PREFIX + name, "").strip() or None

        def read_path(name: str) -> Path | None:
            given = read(name)
            return None if given is None else Path(given).expanduser()

        if url and "@" in url:
            raise UsageError(
                f"{OPTION} takes no user or password, since the shell's history keeps them: set {PREFIX}USERNAME and "
                f"{PREFIX}PASSWORD, or {PREFIX}URL."
            )
        urls, logins = [], set()
        cloud_id, fingerprint = read("CLOUD_ID"), read("CA_FINGERPRINT")
        if cloud_id is not None and url is None:
            if read("URL"):
                raise UsageError(f"{PREFIX}URL and {PREFIX}CLOUD_ID are both set: keep one.")
            urls.append(_cloud_url(cloud_id))
        for given in _NEXT_URL.split((url or read("URL") or "").strip(", ")):
            if not given:
                continue
            bare, user, secret = _without_credentials(given)
            _check_url(bare, OPTION if url else PREFIX + "URL")
            urls.append(bare)
            if user is not None:
                logins.add((user, secret))
        if len(logins) > 1:
            raise UsageError(f"{PREFIX}URL holds different logins, and all nodes of a cluster take one: leave the others out.")
        username, password = logins.pop() if logins else (read("USERNAME"), read("PASSWORD"))
        return cls(
            urls=tuple(urls),
            api_key=read("API_KEY"),
            bearer=read("BEARER"),
            username=username,
            password=password,
            ca_certs=read_path("CA_CERTS"),
            ca_fingerprint=None if fingerprint is None else fingerprint.replace(":", "").lower(),
            client_cert=read_path("CLIENT_CERT"),
            client_key=read_path("CLIENT_KEY"),
            aws_region=read("AWS_REGION"),
            aws_service=read("AWS_SERVICE") or "es",
        )

    @property
    def display(self) -> str:
        """The addresses as people may see them: no credentials."""
        return ", ".join(self.urls)

    @property
    def login(self) -> str | None:
        """The variables that say who asks, for messages; None where nobody is named."""
        if self.username is not None:
            return f"{PREFIX}USERNAME and {PREFIX}PASSWORD"
        ways = {"API_KEY": self.api_key, "BEARER": self.bearer, "AWS_REGION": self.aws_region, "CLIENT_CERT": self.client_cert}
        return next((PREFIX + name for name, way in ways.items() if way is not None), None)


def _cloud_url(cloud_id: str) -> str:
    """The URL within an Elastic Cloud id, which is NAME:base64 of HOST[:PORT]$ELASTICSEARCH[:PORT]$KIBANA (Elastic's document).

    >>> _cloud_url("pictures:" + base64.b64encode(b"eu.cloud.example$ab12$cd34").decode())
    'https://ab12.eu.cloud.example:443'
    """
    try:
        decoded = base64.b64decode(cloud_id.rpartition(":")[2], validate=True).decode("ascii")
        host, engine = decoded.split("$")[:2]
    except (binascii.Error, ValueError):
        host = engine = ""
    name, _, own_port = engine.partition(":")
    host, _, port = host.partition(":")
    url = f"https://{name}.{host}:{own_port or port or 443}"
    if not name or not host or not re.fullmatch(r"https://[\w.-]+:\d+", url):
        raise UsageError(f"{PREFIX}CLOUD_ID cannot be read: copy it again from the deployment's page.")
    return url


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
    if parts.scheme == "http" and parts.port is None:  # 80 for some programs, 9200 for others
        raise UsageError(f"{source} names no port: write it, for example http://HOST:9200 (https:// without one means 443).")
