"""Whom to trust: the TLS side of a connection, made once from the settings and used by whichever client sends.

A fingerprint is resolved before anything is sent: the server shows its certificates, and the one that has the fingerprint
becomes the only authority that is trusted. So a certificate is really checked against the pinned authority, host name
included; that a server shows some certificate besides its own proves nothing. Where the fingerprint is the server's own
certificate's, that certificate is demanded at every connection, whoever signed it.
"""

import hashlib
import socket
import ssl
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from lexlip_es.engines.errors import EngineUnreachableError, tls_error
from lexlip_es.engines.settings import ConnectionSettings
from lexlip_es.errors import LexlipError, UsageError

SHOW_SECONDS = 10.0


class Tls(NamedTuple):
    """How to check a server: `context`, and `fingerprint` (hexadecimal) where its own certificate must have that one."""

    context: ssl.SSLContext
    fingerprint: str | None = None


def tls_for(settings: ConnectionSettings) -> Tls | None:
    """The TLS side of the connection, None where no URL speaks TLS; with a fingerprint, the servers are asked for certificates.

    Raises `UsageError` for files that cannot be read as certificates, `LexlipError` where no certificate has the fingerprint.
    """
    if not any(url.startswith("https:") for url in settings.urls):
        return None
    if settings.ca_fingerprint is None:
        return Tls(_trusting(settings))
    return _pinned(settings, settings.ca_fingerprint)


def _trusting(settings: ConnectionSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_certs)
    except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
        raise UsageError(f"LEXLIP_ES_CA_CERTS names {settings.ca_certs}, which holds no PEM certificate.") from error
    if settings.ca_certs is None:
        import certifi  # both clients bring it; a slim container has no authorities of its own

        context.load_verify_locations(certifi.where())
    return _identified(context, settings)


def _identified(context: ssl.SSLContext, settings: ConnectionSettings) -> ssl.SSLContext:
    """The context, which shows our own certificate where the settings name one."""
    if settings.client_cert is not None:
        try:
            # An encrypted key would make OpenSSL ask on the terminal; the empty password fails instead.
            context.load_cert_chain(settings.client_cert, settings.client_key, password="")
        except (OSError, ValueError) as error:
            raise UsageError(
                "LEXLIP_ES_CLIENT_CERT and LEXLIP_ES_CLIENT_KEY do not name a PEM certificate and its key, without a password."
            ) from error
    return context


def _pinned(settings: ConnectionSettings, fingerprint: str) -> Tls:
    unreachable: Exception | None = None
    for url in settings.urls:
        try:
            shown = _shown(url, _identified(_blind(), settings))
        except ssl.SSLError as error:
            raise tls_error(settings.display, str(error)) from error
        except OSError as error:
            unreachable = error
            continue
        for position, certificate in enumerate(shown):
            if hashlib.sha256(certificate).hexdigest() == fingerprint:
                if position == 0:
                    return Tls(_identified(_blind(), settings), fingerprint)
                context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(certificate))
                context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the pinned authority may be an intermediate one
                return Tls(_identified(context, settings))
        raise LexlipError(
            f"no certificate that {settings.display} shows has the fingerprint of LEXLIP_ES_CA_FINGERPRINT: compare it with "
            "the server's (openssl x509 -noout -fingerprint -sha256 -in ca.crt), or set LEXLIP_ES_CA_CERTS to that file instead."
        )
    raise EngineUnreachableError(settings.display, "no connection for its certificate") from unreachable


def _blind() -> ssl.SSLContext:
    """A context that checks nothing: to look at certificates, or where the fingerprint is the check."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _shown(url: str, context: ssl.SSLContext) -> list[bytes]:
    """The certificates that a server shows (DER), its own first. Nothing is sent but the handshake."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 443)
    with (
        socket.create_connection(address, timeout=SHOW_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=parts.hostname) as secured,
    ):
        own = secured.getpeercert(binary_form=True) or b""
        source: Any = secured if hasattr(secured, "get_unverified_chain") else getattr(secured, "_sslobj", None)
        chain = source.get_unverified_chain() or []
        # Before Python 3.13 this is the ssl module's inner object, whose certificates are no bytes yet (1 = DER).
        ders = [item if isinstance(item, bytes) else ssl.PEM_cert_to_DER_cert(item.public_bytes()) for item in chain]
        return [own, *(der for der in ders if der != own)]
