"""What a client learns before it has a token: where things are, and how it gets one.

Source: Azure Stack Hub's /metadata/endpoints, which azure-cli reads for `az cloud register`;
OpenID Connect Discovery 1.0; RFC 6749.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from podwire.arm.desk import Answer
from podwire.arm.tokens import LIFE, Tokens

OPENID_PATHS = (
    "/adfs/.well-known/openid-configuration",
    "/adfs/v2.0/.well-known/openid-configuration",
    "/adfs/adfs/.well-known/openid-configuration",
    "/adfs/adfs/v2.0/.well-known/openid-configuration",
)
"""MSAL asks for the second half of them at `az login`."""


def endpoints(base: str) -> dict[str, Any]:
    """An object, not the list that Azure's public clouds send: az takes it since 2020's version."""
    return {
        "name": "podwire",
        "galleryEndpoint": base,
        "graphEndpoint": base,
        "graphAudience": base,
        "portalEndpoint": base,
        "resourceManager": base,
        "activeDirectory": f"{base}/adfs",
        "authentication": {
            "loginEndpoint": f"{base}/adfs",
            "audiences": [base],
            "tenant": "adfs",
            "identityProvider": "ADFS",
        },
        "suffixes": {},
    }


def openid(base: str) -> dict[str, Any]:
    authority = f"{base}/adfs"
    return {
        "issuer": authority,
        "authorization_endpoint": f"{authority}/oauth2/authorize",
        "token_endpoint": f"{authority}/oauth2/token",
        "jwks_uri": f"{authority}/discovery/keys",
        "device_authorization_endpoint": f"{authority}/oauth2/devicecode",
        "response_types_supported": ["code", "id_token"],
        "grant_types_supported": ["client_credentials"],
        "id_token_signing_alg_values_supported": ["HS256"],
        "subject_types_supported": ["pairwise"],
    }


def form(content: bytes) -> dict[str, str]:
    """application/x-www-form-urlencoded; what is not comes out empty."""
    try:
        return dict(parse_qsl(content.decode("utf-8", "replace"), max_num_fields=50))
    except ValueError:
        return {}


def token(tokens: Tokens, fields: Mapping[str, str]) -> Answer:
    """RFC 6749 section 4.4, with the errors of section 5.2."""
    if fields.get("grant_type") != "client_credentials":
        return _refused(400, "unsupported_grant_type", "Only client_credentials is offered.")
    granted = tokens.grant(fields.get("client_id", ""), fields.get("client_secret", ""))
    if granted is None:
        return _refused(401, "invalid_client", "Not the lab's client, or not its secret.")
    return Answer(200, {"token_type": "Bearer", "expires_in": LIFE, "access_token": granted})


def _refused(status: int, error: str, text: str) -> Answer:
    return Answer(status, {"error": error, "error_description": text})
