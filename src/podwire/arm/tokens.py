"""Who may ask: the lab's one client, its secret, and the tokens that it gets for it.

Tokens are JSON Web Tokens, HS256, signed with a key that never leaves the store. Must not know of
HTTP. Source: RFC 7519, RFC 7515; RFC 6749 section 4.4 (client credentials).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from podwire.arm.errors import ArmError
from podwire.arm.store import ArmStore

CLIENT = "podwire"
TENANT = "adfs"
LIFE = 8 * 3600
"""How long a token is good, in seconds."""
_SKEW = 60


@dataclass(frozen=True, slots=True)
class Tokens:
    """secret: the client's; key: what signs."""

    secret: str
    key: bytes

    @classmethod
    def ensure(cls, store: ArmStore) -> Tokens:
        """The lab's secret and key, made once."""
        found = []
        for name in ("client-secret", "token-key"):
            value = store.secret(name)
            if value is None:
                value = secrets.token_urlsafe(32)
                store.put_secret(name, value)
            found.append(value)
        return cls(found[0], found[1].encode())

    def grant(self, client: str, secret: str) -> str | None:
        """A token, None when that is not the lab's client."""
        same = hmac.compare_digest(client.encode(), CLIENT.encode())
        same &= hmac.compare_digest(secret.encode(), self.secret.encode())
        return self.issue() if same else None

    def issue(self, *, now: float | None = None) -> str:
        start = int(time.time() if now is None else now)
        claims = {
            "iss": f"podwire/{TENANT}",
            "sub": CLIENT,
            "appid": CLIENT,
            "tid": TENANT,
            "iat": start,
            "nbf": start,
            "exp": start + LIFE,
        }
        head = {"alg": "HS256", "typ": "JWT"}
        signed = ".".join(_encode(json.dumps(one).encode()) for one in (head, claims))
        return f"{signed}.{_encode(self._sign(signed))}"

    def check(self, header: str, *, now: float | None = None) -> None:
        """Of an Authorization header, "" for none. Raises ArmError (401) with Azure's codes."""
        if not header:
            raise _refused(
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
            )
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise _refused(
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is provided in an invalid "
                "format.",
            )
        claims = self._claims(token.strip())
        if claims is None:
            raise _refused("InvalidAuthenticationToken", "The access token is invalid.")
        if claims["exp"] + _SKEW < (time.time() if now is None else now):
            raise _refused("ExpiredAuthenticationToken", "The access token expiry UTC time is past")

    def _claims(self, token: str) -> dict[str, Any] | None:
        """What a token says, None when the lab did not sign it."""
        signed, _, signature = token.rpartition(".")
        try:
            given = _decode(signature)
            if not hmac.compare_digest(given, self._sign(signed)):
                return None
            claims: dict[str, Any] = json.loads(_decode(signed.partition(".")[2]))
        except (ValueError, binascii.Error):
            return None
        return claims

    def _sign(self, text: str) -> bytes:
        return hmac.new(self.key, text.encode(), hashlib.sha256).digest()


def _refused(code: str, message: str) -> ArmError:
    return ArmError(401, code, message)


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
