"""What VMAccessForLinux is asked for: its protected settings, checked, as a value.

Must not know nodes. No message holds a password. Source: Azure/azure-linux-extensions, VMAccess 1.5
(README, vmaccess.py), whose rules these are but for the keys that it takes: see `ssh_keys`.
"""

from __future__ import annotations

import ctypes
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from podwire.cluster.ssh_keys import public_key
from podwire.model.errors import InvalidInputError

_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_CRYPT_DATA = 1 << 17
"""More than sizeof(struct crypt_data): 32 KiB with libxcrypt, 128 KiB with glibc."""


@dataclass(frozen=True, slots=True)
class VmAccess:
    """What protected settings ask for, checked. key: a line of authorized_keys; password: as
    crypt(3) gives it; expires: yyyy-mm-dd; "" where nothing is asked."""

    username: str = ""
    key: str = ""
    password: str = field(default="", repr=False)
    expires: str = ""
    reset_ssh: bool = False
    remove_user: str = ""

    @classmethod
    def of(cls, protected: Mapping[str, object]) -> VmAccess:
        """From the extension's protectedSettings. Raises InvalidInputError; no message holds a
        password."""
        password = _text(protected, "password")
        key = _text(protected, "ssh_key")
        made = cls(
            _user_name(protected, "username"),
            public_key(key) if key else "",
            hashed(password) if password else "",
            _day(_text(protected, "expiration")),
            _flag(protected, "reset_ssh"),
            _user_name(protected, "remove_user"),
        )
        made._check()
        return made

    def _check(self) -> None:
        if self.username and not self.key and not self.password:
            raise InvalidInputError(
                f"no password or ssh_key is given for username {self.username!r}; add one of them"
            )
        if self.remove_user and (self.reset_ssh or self.password):
            raise InvalidInputError(
                f"remove_user {self.remove_user!r} together with reset_ssh or password: cannot "
                "reset sshd's configuration and remove a user at once; ask for one after the other"
            )
        if not (self.username or self.remove_user or self.reset_ssh):
            raise InvalidInputError(
                "the settings ask for nothing; give username and ssh_key, remove_user or reset_ssh"
            )


def hashed(password: str) -> str:
    """SHA-512 crypt, which shadow(5) takes; by the C library's crypt_r(3), as Python has none."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt_r.restype = ctypes.c_char_p
    room = ctypes.create_string_buffer(_CRYPT_DATA)
    salt = f"$6${secrets.token_hex(8)}$".encode()
    made: bytes = library.crypt_r(password.encode(), salt, room)
    return made.decode()


def _text(protected: Mapping[str, object], name: str) -> str:
    value = protected.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} is of type {type(value).__name__}; give a string")
    return value


def _flag(protected: Mapping[str, object], name: str) -> bool:
    """A boolean, or one as a string, which the extension's README shows too."""
    value = protected.get(name) or False
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise InvalidInputError(f"{name} is {value!r}; give true or false")
    return value


def _user_name(protected: Mapping[str, object], name: str) -> str:
    value = _text(protected, name)
    if value and not _NAME.fullmatch(value):
        raise InvalidInputError(
            f"{name} {value!r} is no Linux user name: 1 to 32 of a-z, 0-9, _ and -, "
            "a letter or _ first"
        )
    return value


def _day(text: str) -> str:
    if not text:
        return ""
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError as error:
        raise InvalidInputError(f"expiration {text!r} is no day; give it as 2026-12-31") from error
