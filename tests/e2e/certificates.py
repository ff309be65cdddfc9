"""Certificates of throwaway authorities, made with the openssl command."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from servers import run

# Python 3.13 verifies as strictly as RFC 5280 says, which asks for these.
IDENTIFIERS = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
# `openssl ca` takes dates of the past, which `openssl x509` does no more since OpenSSL 3.4.
CONFIG = """[ca]
default_ca = here
[here]
database = {database}
new_certs_dir = {directory}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
"""
EC_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Certificate:
    """Two PEM files. The key has no password."""

    certificate: Path
    key: Path


class Authority:
    """Its own certificate is `root`; what it issues is in `directory` too."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory, self.name = directory, name
        self.root, self.root_key = directory / f"{name}.pem", directory / f"{name}.key"
        run("openssl", "req", "-x509", *EC_KEY, "-days", "2", "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign",
            "-keyout", str(self.root_key), "-out", str(self.root))
        database = directory / f"{name}.issued"
        database.touch()
        self.config = directory / f"{name}.conf"
        self.config.write_text(CONFIG.format(database=database, directory=directory))

    def issue(self, name: str, *alternative_names: str, days: int = 2) -> Certificate:
        """For names like "DNS:localhost". One with negative days has expired."""
        stem = f"{self.name}-{name}"
        paths = [self.directory / f"{stem}.{kind}" for kind in ("pem", "key", "csr", "ext")]
        certificate, key, request, extensions = paths
        run("openssl", "req", *EC_KEY, "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request))
        extensions.write_text(f"subjectAltName={','.join(alternative_names)}\n{IDENTIFIERS}")
        end = datetime.now(UTC) + timedelta(days=days)
        start, last = (f"{moment:%Y%m%d%H%M%SZ}" for moment in (min(datetime.now(UTC), end) - timedelta(days=1), end))
        run("openssl", "ca", "-batch", "-notext", "-config", str(self.config), "-cert", str(self.root), "-keyfile", str(self.root_key),
            "-startdate", start, "-enddate", last, "-in", str(request), "-extfile", str(extensions), "-out", str(certificate))
        return Certificate(certificate, key)
