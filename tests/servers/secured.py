"""What makes the secured Elasticsearch: certificates of an authority made for this start, users and roles in files.

No tool of the distribution is run (each would start a JVM): a user's line holds the password's PBKDF2 as Elasticsearch's own
hasher writes it (`{PBKDF2}cost$salt$hash`, HMAC-SHA-512, 32 bytes each of salt and hash).
"""

import base64
import hashlib
import secrets
from pathlib import Path
from typing import Any

import trustme

from tests.servers.server import Server

PATTERN = "pictures*"
COST = 1000  # of the hash; more would only slow the tests down
# admin may do everything; outsider is known and may do nothing with pictures.
ROLE_OF = {"admin": "superuser", "indexer": "pictures_index", "searcher": "pictures_search", "outsider": "other_index"}
# The least that works. `monitor` is needed to ask for the server's version; `manage` makes and deletes indices, changes
# settings and aliases, refreshes and merges; `view_index_metadata` reads the mapping's _meta.
ROLES = f"""pictures_index:
  cluster: [monitor]
  indices:
    - names: ["{PATTERN}"]
      privileges: [read, write, manage]
pictures_search:
  cluster: [monitor]
  indices:
    - names: ["{PATTERN}"]
      privileges: [read, view_index_metadata]
other_index:
  cluster: [monitor]
  indices:
    - names: ["other*"]
      privileges: [read, write, manage]
"""


def secure(server: Server, config: Path) -> dict[str, Any]:
    """Write certificates, users and roles into `config`; sets `server.ca` and `server.users`, returns the settings."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(config / "ca.pem")
    certificate.private_key_pem.write_to_path(config / "server.key")
    for number, part in enumerate(certificate.cert_chain_pems):
        part.write_to_path(config / "server.pem", append=number > 0)
    server.ca = config / "ca.pem"
    server.users = {name: secrets.token_urlsafe(12) for name in ROLE_OF}
    lines = [f"{name}:{_hash(password)}" for name, password in server.users.items()]
    (config / "users").write_text("\n".join([*lines, ""]), "utf-8")
    (config / "users_roles").write_text("".join(f"{role}:{name}\n" for name, role in ROLE_OF.items()), "utf-8")
    (config / "roles.yml").write_text(ROLES, "utf-8")
    settings: dict[str, Any] = {"xpack.security.enabled": True, "xpack.security.autoconfiguration.enabled": False}
    for layer in ("http", "transport"):
        settings |= {
            f"xpack.security.{layer}.ssl.enabled": True,
            f"xpack.security.{layer}.ssl.key": "server.key",
            f"xpack.security.{layer}.ssl.certificate": "server.pem",
            f"xpack.security.{layer}.ssl.certificate_authorities": ["ca.pem"],
        }
    return settings | {"xpack.security.http.ssl.client_authentication": "optional"}


def _hash(password: str) -> str:
    salt = secrets.token_bytes(32)
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, COST, 32)
    return f"{{PBKDF2}}{COST}${base64.b64encode(salt).decode()}${base64.b64encode(derived).decode()}"
