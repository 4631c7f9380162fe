"""Keys of SSH: a node's own, kept on its disk, and people's public ones, checked.

Must not know where they are put to use. Source: RFC 4253 section 6.6, RFC 4716 (SSH2 public key
files), RFC 8709; VMAccess for the forms in which a public key may come.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from podwire.cluster.files import write_file
from podwire.model.errors import InvalidInputError

LEAST_RSA_BITS: Final = 2048
"""Of RSA keys; Azure takes none shorter."""
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_SSH2 = "---- BEGIN SSH2 PUBLIC KEY ----"
_TYPES = ("ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
          "ecdsa-sha2-nistp521")  # fmt: skip
_WAY_OUT = "give the whole text of a public key file, as in ~/.ssh/id_rsa.pub (ssh-rsa AAAA...)"
_Private: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
_HOST_KEYS: dict[str, Callable[[], _Private]] = {
    "ssh_host_ed25519_key": ed25519.Ed25519PrivateKey.generate,
    "ssh_host_ecdsa_key": lambda: ec.generate_private_key(ec.SECP256R1()),
}


def host_keys(directory: Path) -> dict[str, str]:
    """File name -> text of a node's host keys, the private ones and the .pub; made once.

    directory: where they stay, made with mode 0700.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, generate in _HOST_KEYS.items():
        if not (directory / f"{name}.pub").exists():
            private, public = _texts(generate())
            write_file(directory / name, private, mode=0o600)
            write_file(directory / f"{name}.pub", public)
    names = [name + suffix for name in _HOST_KEYS for suffix in ("", ".pub")]
    return {name: (directory / name).read_text() for name in names}


def _texts(key: _Private) -> tuple[bytes, bytes]:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return private, public + b"\n"


def public_key(text: str) -> str:
    """The line for authorized_keys, without a newline: type, key and comment.

    text: an OpenSSH public key, an RFC 4716 one, or a PEM certificate. Raises InvalidInputError.
    """
    text = text.strip()
    if text.startswith(_CERTIFICATE):
        return _of_certificate(text)
    if text.startswith(_SSH2):
        text = _of_ssh2(text)
    if "PRIVATE KEY" in text:
        raise InvalidInputError(f"ssh_key is a private key, which nobody else may see; {_WAY_OUT}")
    if "\n" in text:
        raise InvalidInputError(f"ssh_key has {text.count(chr(10)) + 1} lines; {_WAY_OUT}")
    kind, _, rest = text.partition(" ")
    if kind not in _TYPES or not rest:
        raise InvalidInputError(
            f"ssh_key {_shown(text)} is none of {', '.join(_TYPES)}; {_WAY_OUT}"
        )
    _check(text)
    return text


def _check(line: str) -> None:
    try:
        key = serialization.load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInputError(
            f"ssh_key {_shown(line)} is damaged ({error}); {_WAY_OUT}"
        ) from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA_BITS:
        raise InvalidInputError(
            f"ssh_key is of {key.key_size} bits; at least {LEAST_RSA_BITS} are wanted: "
            "ssh-keygen -t rsa -b 3072"
        )


def _of_certificate(text: str) -> str:
    try:
        key = x509.load_pem_x509_certificate(text.encode()).public_key()
        line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInputError(
            f"ssh_key is a damaged certificate ({error}); {_WAY_OUT}"
        ) from error
    _check(line.decode())
    return line.decode()


def _of_ssh2(text: str) -> str:
    """A header line holds a colon, and goes on in the next line after a backslash."""
    text = text.replace("\r", "").replace("\\\n", "")
    body = [line for line in text.splitlines() if ":" not in line and not line.startswith("----")]
    blob = "".join(body)
    try:
        raw = base64.b64decode(blob, validate=True)
    except ValueError as error:
        raise InvalidInputError(f"ssh_key is a damaged SSH2 key ({error}); {_WAY_OUT}") from error
    length = int.from_bytes(raw[:4], "big")
    return f"{raw[4 : 4 + length].decode(errors='replace')} {blob}"


def _shown(text: str) -> str:
    """Enough of it to be recognised."""
    return repr(text if len(text) <= 40 else f"{text[:24]}...{text[-8:]}")
