"""Authorities and certificates for servers of the tests, made on the spot."""

from __future__ import annotations

import ipaddress
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.now(timezone.utc)
DAY = timedelta(days=1)


class Authority:
    """Signs certificates.

    Attributes:
        file: Its own certificate, as `sslrootcert` takes it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.file = folder / f"{name}.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._signed(self._name, self._key, NOW - DAY, NOW + DAY, x509.BasicConstraints(ca=True, path_length=0))
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def sign(self, stem: Path, *names: str, expired: bool = False, password: bytes | None = None) -> None:
        """Write `stem`.crt for host names, addresses or a role's name, and its key into `stem`.key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        end = NOW - DAY / 2 if expired else NOW + DAY
        made = self._signed(subject, key, NOW - DAY, end, x509.SubjectAlternativeName(map(_general_name, names)))
        stem.with_suffix(".crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
        stem.with_suffix(".key").touch(mode=0o600)
        stem.with_suffix(".key").write_bytes(secret)

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime,
                extension: x509.ExtensionType) -> x509.Certificate:
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number(), start, end)
        return builder.add_extension(extension, critical=False).sign(self._key, hashes.SHA256())


def hand_over(folder: Path, like: Path) -> None:
    """Give the files of `folder` to the owner of `like`: a server's key must be its own."""
    owner = like.stat()
    for file in (folder, *folder.iterdir()):
        shutil.chown(file, owner.st_uid, owner.st_gid)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
