"""The one door to cryptography: a CA for tests, and certificates of a broker, a server and devices. `wakestorm certs`.

The CA's key lies beside its certificate, unprotected: whoever reads the folder may become anybody. For a fleet that
matters use a CA of your own; mosquitto only needs its certificate.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from server.broker_logins import replace_privately
from server.clock import SystemClock
from server.serving import EXIT_USAGE, ServeError
from server.wire.access import flaw_of_name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, CertificateBuilder, GeneralName, Name

CA: Final = "ca"
BROKER: Final = "broker"
_BACKDATED: Final = timedelta(hours=1)
"""A device's clock may be behind."""


@dataclass(frozen=True, slots=True)
class Names:
    """What to make: a broker's certificate for these hosts, and one for each client, by its user name."""

    hosts: Sequence[str]
    clients: Sequence[str]
    days: int
    revoked: Sequence[str] = ()
    expired: Sequence[str] = ()
    """Clients whose certificates have ended already: a broker has to refuse them."""


def make(folder: Path, names: Names) -> list[Path]:
    """Writes .crt and .key of `ca`, `broker` and each client, and ca.crl; a CA that is there stays.

    Raises ServeError.
    """
    _refuse_wrong_names(folder, names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _Maker(folder, SystemClock().now(), names.days).make(names)
    except OSError as error:
        raise ServeError(f"{folder}: {error.strerror or error}", EXIT_USAGE) from error
    except ValueError as error:
        raise ServeError(f"{folder}: {error}", EXIT_USAGE) from error


def _refuse_wrong_names(folder: Path, names: Names) -> None:
    for name in (*names.clients, *names.revoked, *names.expired):
        if (flaw := flaw_of_name(name)) is not None or name in (CA, BROKER, ".", ".."):
            raise ServeError(f"{name[:80]!r} can be no user name of a certificate: {flaw or 'it is taken'}", EXIT_USAGE)
    for name in names.expired:
        if name in names.clients:
            raise ServeError(f"{name}: one certificate can't be valid and expired; name another client", EXIT_USAGE)
    for name in names.revoked:
        if name not in (*names.clients, *names.expired) and not (folder / f"{name}.crt").exists():
            words = f"{folder / name}.crt: no such certificate, so it can't be revoked"
            raise ServeError(f"{words}; --out says in which folder it is", EXIT_USAGE)


class _Maker:
    def __init__(self, folder: Path, now: datetime, days: int) -> None:
        self._folder = folder
        self._now = now
        self._lasting = timedelta(days=days)

    def make(self, names: Names) -> list[Path]:
        """Every file, in the order in which they were written."""
        from cryptography import x509

        files = []
        if not self._file(CA, "crt").exists():
            files += self._make_ca()
        if names.hosts:
            alternatives = [_alternative(host) for host in names.hosts]
            files += self._issue(BROKER, names.hosts[0], x509.SubjectAlternativeName(alternatives))
        for client in names.clients:
            files += self._issue(client, client, None)
        for client in names.expired:
            files += self._issue(client, client, None, self._now - self._lasting - _BACKDATED)
        return [*files, self._revoke(names.revoked)]

    def _file(self, name: str, kind: str) -> Path:
        return self._folder / f"{name}.{kind}"

    def _make_ca(self) -> list[Path]:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        key, name = _new_key(), _name_of("wakestorm test CA")
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        certificate = (
            self._builder(name, name, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return self._write(CA, certificate, key)

    def _issue(self, file: str, common_name: str, hosts: object, since: datetime | None = None) -> list[Path]:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.x509.oid import ExtendedKeyUsageOID

        ca, ca_key = self._ca()
        key = _new_key()
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if hosts is None else ExtendedKeyUsageOID.SERVER_AUTH
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        builder = (
            self._builder(_name_of(common_name), ca.subject, key, since)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )
        if isinstance(hosts, x509.SubjectAlternativeName):
            builder = builder.add_extension(hosts, critical=False)
        return self._write(file, builder.sign(ca_key, hashes.SHA256()), key)

    def _revoke(self, names: Sequence[str]) -> Path:
        """The list of what is revoked: what was on it, and these."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        ca, ca_key = self._ca()
        file = self._file(CA, "crl")
        before = x509.load_pem_x509_crl(file.read_bytes()) if file.exists() else ()
        serials = {item.serial_number: item.revocation_date_utc for item in before}
        for name in names:
            certificate = x509.load_pem_x509_certificate(self._file(name, "crt").read_bytes())
            serials.setdefault(certificate.serial_number, self._now)
        builder = x509.CertificateRevocationListBuilder().issuer_name(ca.subject)
        builder = builder.last_update(self._now - _BACKDATED).next_update(self._now + self._lasting)
        for number, when in serials.items():
            one = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(when).build()
            builder = builder.add_revoked_certificate(one)
        text = builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        replace_privately(file, text)
        return file

    def _ca(self) -> tuple[Certificate, EllipticCurvePrivateKey]:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key(self._file(CA, "key").read_bytes(), None)
        if not isinstance(key, EllipticCurvePrivateKey):
            raise ValueError("ca.key is no key on an elliptic curve: name another folder")
        return x509.load_pem_x509_certificate(self._file(CA, "crt").read_bytes()), key

    def _builder(
        self, subject: Name, issuer: Name, key: EllipticCurvePrivateKey, since: datetime | None = None
    ) -> CertificateBuilder:
        from cryptography import x509

        begin = since or self._now
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(begin - _BACKDATED).not_valid_after(begin + self._lasting)

    def _write(self, name: str, certificate: Certificate, key: EllipticCurvePrivateKey) -> list[Path]:
        from cryptography.hazmat.primitives import serialization

        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files = {"key": private, "crt": certificate.public_bytes(serialization.Encoding.PEM)}
        for kind, data in files.items():
            replace_privately(self._file(name, kind), data.decode())
        return [self._file(name, kind) for kind in files]


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _name_of(common_name: str) -> Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(host: str) -> GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
