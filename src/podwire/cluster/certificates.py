"""X.509 certificates in files: authorities, leaves, and whether what lies there still serves.

Must not know who needs which certificate: that is `pki`. EC P-256 throughout; PEM files
`<name>.crt` (0644) and `<name>.key` (0600, PKCS #8). Source: RFC 5280; Kubernetes, "PKI
certificates and requirements".
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from podwire.cluster.files import write_file

_AUTHORITY_LIFE = datetime.timedelta(days=3650)
_LEAF_LIFE = datetime.timedelta(days=730)
_RENEW_BEFORE = datetime.timedelta(days=30)
_CLOCK_SKEW = datetime.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate that is wanted. name: its file's stem; dns, ips: the subject's other names."""

    name: str
    common_name: str
    organizations: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    server: bool = False
    client: bool = False

    @property
    def subject(self) -> x509.Name:
        groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in self.organizations]
        return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, self.common_name)])

    @property
    def extensions(self) -> tuple[tuple[x509.ExtensionType, bool], ...]:
        """The extensions that depend on what is wanted, each with whether it is critical."""
        usages = [(self.server, ExtendedKeyUsageOID.SERVER_AUTH)]
        usages += [(self.client, ExtendedKeyUsageOID.CLIENT_AUTH)]
        usage = x509.ExtendedKeyUsage([oid for wanted, oid in usages if wanted])
        names: list[x509.GeneralName] = [x509.DNSName(one) for one in self.dns]
        names += [x509.IPAddress(IPv4Address(one)) for one in self.ips]
        return ((usage, False), *([(x509.SubjectAlternativeName(names), False)] if names else []))


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority whose files lie in `directory` under `name`."""

    directory: Path
    name: str
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def ensure(cls, directory: Path, name: str, common_name: str) -> Authority:
        """The authority that lies in `directory`, or a new one when none that is valid does."""
        found = _load(directory, name)
        if found is None or not _is_authority(found[0], common_name):
            found = _new_authority(common_name)
            _save(directory, name, *found)
        return cls(directory, name, *found)

    def ensure_leaf(self, leaf: Leaf) -> bool:
        """Issue `leaf` unless a fitting one lies there. True when it was (re)issued."""
        found = _load(self.directory, leaf.name)
        if found is not None and self._fits(found[0], leaf):
            return False
        key = new_key()
        _save(self.directory, leaf.name, self._issue(leaf, key), key)
        return True

    def _fits(self, certificate: x509.Certificate, leaf: Leaf) -> bool:
        if certificate.subject != leaf.subject or not _current(certificate):
            return False
        try:
            certificate.verify_directly_issued_by(self.certificate)
            names = (x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
            held = [one.value for one in certificate.extensions if isinstance(one.value, names)]
        except (ValueError, TypeError, InvalidSignature):
            return False
        return held == [value for value, _critical in leaf.extensions]

    def _issue(self, leaf: Leaf, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        end = min(_now() + _LEAF_LIFE, self.certificate.not_valid_after_utc)
        builder = _builder(leaf.subject, self.certificate.subject, key, end)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(_key_usage(authority=False), True)
        for value, critical in leaf.extensions:
            builder = builder.add_extension(value, critical)
        return builder.sign(self.key, hashes.SHA256())


def ensure_key_pair(directory: Path, name: str) -> None:
    """A bare key pair, `<name>.key` and `<name>.pub`; what lies there is kept when it is one."""
    private = _load_key(directory / f"{name}.key")
    public = directory / f"{name}.pub"
    if private is None:
        private = new_key()
        write_file(directory / f"{name}.key", _pem(private), mode=0o600)
    content = _public_pem(private)
    if not public.is_file() or public.read_bytes() != content:
        write_file(public, content)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _new_authority(common_name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = _builder(subject, subject, key, _now() + _AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    builder = builder.add_extension(_key_usage(authority=True), True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return builder.add_extension(identifier, False).sign(key, hashes.SHA256()), key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - _CLOCK_SKEW)
        .not_valid_after(end)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _is_authority(certificate: x509.Certificate, common_name: str) -> bool:
    wanted = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    return certificate.subject == wanted and _current(certificate)


def _current(certificate: x509.Certificate) -> bool:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return start <= _now() and _now() + _RENEW_BEFORE < end


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _save(
    directory: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    """The key first: a certificate whose key is another's is noticed and issued anew.

    Not synced to the disk: what a power loss tears is noticed as well.
    """
    write_file(directory / f"{name}.key", _pem(key), mode=0o600)
    content = certificate.public_bytes(serialization.Encoding.PEM)
    write_file(directory / f"{name}.crt", content)


def _load(directory: Path, name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """The pair in the files, None when one is missing, damaged, or not the other's."""
    key = _load_key(directory / f"{name}.key")
    try:
        content = (directory / f"{name}.crt").read_bytes()
        certificate = x509.load_pem_x509_certificate(content)
        public = certificate.public_key()
    except (FileNotFoundError, ValueError):
        return None
    return (certificate, key) if key is not None and public == key.public_key() else None


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    path.chmod(0o600)
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
