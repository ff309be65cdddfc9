"""Certificates of throwaway authorities, made with the openssl command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from servers import run

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
        run("openssl", "req", "-x509", *EC_KEY, "-days", "2", "-subj", f"/CN={name}", "-keyout", str(self.root_key), "-out",
            str(self.root))

    def issue(self, name: str, *alternative_names: str, days: int = 2) -> Certificate:
        """For names like "DNS:localhost". One with negative days has expired."""
        stem = f"{self.name}-{name}"
        paths = [self.directory / f"{stem}.{kind}" for kind in ("pem", "key", "csr", "ext")]
        certificate, key, request, extensions = paths
        run("openssl", "req", *EC_KEY, "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request))
        extensions.write_text(f"subjectAltName={','.join(alternative_names)}\n")
        run("openssl", "x509", "-req", "-in", str(request), "-CA", str(self.root), "-CAkey", str(self.root_key),
            "-CAcreateserial", "-days", str(days), "-extfile", str(extensions), "-out", str(certificate))
        return Certificate(certificate, key)
