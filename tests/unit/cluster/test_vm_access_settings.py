"""What VMAccessForLinux may be asked for."""

from __future__ import annotations

import ctypes

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from podwire.cluster.vm_access_settings import VmAccess, hashed
from podwire.model.errors import InvalidInputError

KEY = (
    ed25519.Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    .decode()
)


def test_the_documents_settings() -> None:
    wish = VmAccess.of({"username": "azureuser", "ssh_key": f"{KEY} me@here\n"})
    assert wish == VmAccess(username="azureuser", key=f"{KEY} me@here")


def test_every_setting_is_read_and_booleans_may_be_strings() -> None:
    wish = VmAccess.of(
        {
            "username": "bob",
            "ssh_key": KEY,
            "expiration": "2026-12-31T00:00:00",
            "reset_ssh": "True",
        }
    )
    assert (wish.expires, wish.reset_ssh) == ("2026-12-31", True)
    assert VmAccess.of({"remove_user": "bob", "reset_ssh": "false"}).remove_user == "bob"


def test_an_empty_password_is_ignored() -> None:
    assert VmAccess.of({"username": "bob", "ssh_key": KEY, "password": ""}).password == ""


def test_a_password_is_kept_as_a_hash_alone() -> None:
    wish = VmAccess.of({"username": "bob", "password": "right horse"})
    assert wish.password.startswith("$6$")
    assert wish.password not in repr(wish)
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    assert library.crypt(b"right horse", wish.password.encode()).decode() == wish.password
    assert hashed("right horse") != hashed("right horse")  # the salt


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "ask for nothing; give username and ssh_key"),
        ({"ssh_key": KEY}, "ask for nothing; give username"),
        ({"username": "azureuser"}, "no password or ssh_key is given for username 'azureuser'"),
        ({"username": "azureuser", "password": ""}, "no password or ssh_key"),
        ({"username": "Azure User", "ssh_key": KEY}, "username 'Azure User' is no Linux user name"),
        ({"username": "../x", "ssh_key": KEY}, "username '../x' is no Linux user name"),
        ({"remove_user": "a:b"}, "remove_user 'a:b' is no Linux user name"),
        ({"username": 5, "ssh_key": KEY}, "username is of type int; give a string"),
        ({"username": "bob", "ssh_key": "rsa"}, "ssh_key 'rsa' is none of ssh-rsa"),
        ({"username": "bob", "ssh_key": KEY, "expiration": "soon"}, "expiration 'soon' is no day"),
        ({"reset_ssh": "maybe"}, "reset_ssh is 'maybe'; give true or false"),
        ({"remove_user": "bob", "reset_ssh": True}, "one after the other"),
        ({"remove_user": "bob", "username": "al", "password": "p"}, "one after the other"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(settings, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        VmAccess.of(settings)
