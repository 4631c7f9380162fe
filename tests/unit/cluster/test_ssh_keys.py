"""Host keys that stay, and public keys in every form that VMAccess takes."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from podwire.cluster.ssh_keys import host_keys, public_key
from podwire.model.errors import InvalidInputError

RSA = rsa.generate_private_key(65537, 2048)


def _line(private) -> str:
    encoding, form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return private.public_key().public_bytes(encoding, form).decode()


def test_host_keys_stay_and_only_their_owner_may_read_them(tmp_path: Path) -> None:
    first = host_keys(tmp_path / "ssh")
    assert host_keys(tmp_path / "ssh") == first
    assert host_keys(tmp_path / "other") != first
    for name, text in first.items():
        mode = stat.S_IMODE((tmp_path / "ssh" / name).stat().st_mode)
        assert mode == (0o644 if name.endswith(".pub") else 0o600)
        assert text.startswith(("ssh-ed25519 ", "ecdsa-sha2-", "-----BEGIN OPENSSH PRIVATE KEY"))
    private = serialization.load_ssh_private_key(first["ssh_host_ed25519_key"].encode(), None)
    assert _line(private) == first["ssh_host_ed25519_key.pub"].strip()


@pytest.mark.parametrize(
    "private", [RSA, ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())]
)
def test_a_key_file_is_taken_as_it_is(private) -> None:
    line = f"{_line(private)} me@here with blanks"
    assert public_key(f"{line}\n") == line


def test_a_certificate_gives_its_key() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "me")])
    now = datetime.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder(name, name, RSA.public_key(), 1, now, now.replace(year=2027))
    pem = builder.sign(RSA, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    assert public_key(pem) == _line(RSA)


def test_an_ssh2_key_is_converted() -> None:
    blob = _line(RSA).split()[1]
    lines = "\r\n".join(blob[at : at + 70] for at in range(0, len(blob), 70))
    text = (
        '---- BEGIN SSH2 PUBLIC KEY ----\r\nComment: "goes \\\r\non"\r\n'
        f"{lines}\r\n---- END SSH2 PUBLIC KEY ----\r\n"
    )
    assert public_key(text) == _line(RSA)


SHORT = _line(rsa.generate_private_key(65537, 1024))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("my key", "'my key' is none of ssh-rsa"),
        ("ssh-rsa", "'ssh-rsa' is none of"),
        ("ssh-dss AAAAB3NzaC1kc3M=", "none of ssh-rsa"),
        ("ssh-rsa AAAA", "is damaged"),
        (_line(RSA).replace("ssh-rsa", "ssh-ed25519"), "is damaged"),
        (f"{_line(RSA)}\n{_line(RSA)}", "has 2 lines"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "damaged certificate"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\n!\n---- END SSH2 PUBLIC KEY ----", "damaged SSH2 key"),
        (SHORT, "of 1024 bits; at least 2048"),
    ],
)
def test_what_is_no_key_is_refused_with_the_way_out(text: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{says}.*(id_rsa.pub|ssh-keygen)"):
        public_key(text)


def test_a_private_key_is_refused_and_not_repeated() -> None:
    text = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----"
    with pytest.raises(InvalidInputError, match="private key") as raised:
        public_key(text)
    assert "b3Blb" not in str(raised.value)
