"""Who may ask, and what ARM itself says of requests that are not in order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from podwire.arm.tokens import CLIENT, LIFE, Tokens
from podwire.arm.web import BODY_LIMIT
from tests.unit.arm.client import NET, RG, VNET, Client, S


def code(answer: object) -> str:
    return str(answer.json()["error"]["code"])


def test_without_a_token_nothing_is_told(client: Client) -> None:
    answer = client.ask("GET", S, Authorization="")
    assert (answer.status_code, code(answer)) == (401, "AuthenticationFailed")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")


def test_a_token_that_somebody_else_signed_is_refused(client: Client) -> None:
    other = Tokens("x", b"another key").issue()
    answer = client.ask("GET", S, Authorization=f"Bearer {other}")
    assert (answer.status_code, code(answer)) == (401, "InvalidAuthenticationToken")


def test_a_token_whose_signature_is_cut_off_is_refused(client: Client) -> None:
    head, claims, _ = client.token.split(".")
    answer = client.ask("GET", S, Authorization=f"Bearer {head}.{claims}.")
    assert (answer.status_code, code(answer)) == (401, "InvalidAuthenticationToken")


def test_an_old_token_is_refused(client: Client) -> None:
    old = client.tokens.issue(now=0)
    answer = client.ask("GET", S, Authorization=f"Bearer {old}")
    assert (answer.status_code, code(answer)) == (401, "ExpiredAuthenticationToken")


def test_only_the_labs_secret_gets_a_token(client: Client) -> None:
    form = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": "guess"}
    assert client.run(client.http.post("/adfs/oauth2/token", data=form)).status_code == 401
    form["client_secret"] = client.tokens.secret
    granted = client.run(client.http.post("/adfs/oauth2/token", data=form)).json()
    assert granted["expires_in"] == LIFE
    answer = client.ask("GET", S, Authorization=f"Bearer {granted['access_token']}")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Host": "localhost"}, {"Origin": "https://evil.example"}],
)
def test_a_page_of_somewhere_else_is_not_answered(client: Client, headers: dict[str, str]) -> None:
    assert client.ask("GET", S, **headers).status_code == 403


def test_the_metadata_is_one_object_that_names_this_endpoint(client: Client) -> None:
    told = client.run(client.http.get("/metadata/endpoints")).json()
    assert told["resourceManager"] == "https://localhost:8443"
    assert told["authentication"]["loginEndpoint"] == "https://localhost:8443/adfs"


def test_a_body_over_the_limit_is_refused(client: Client) -> None:
    answer = client.ask("PUT", RG, {"location": "x" * BODY_LIMIT})
    assert (answer.status_code, code(answer)) == (413, "RequestContentTooLarge")


@pytest.mark.parametrize("content", [b"{", b"[]", b'"text"', b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_object_is_refused(client: Client, content: bytes) -> None:
    request = client.http.put(
        f"{RG}?api-version=2024-01-01",
        content=content,
        headers={"Authorization": f"Bearer {client.token}"},
    )
    answer = client.run(request)
    assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent")


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        (f"{S}/resourcegroups?x=1&api-version=", 400, "MissingApiVersionParameter"),
        (f"{RG}?api-version=1999-01-01", 400, "InvalidApiVersionParameter"),
        (f"{RG}?api-version=today", 400, "InvalidApiVersionParameter"),
        ("/subscriptions/other/resourcegroups", 404, "SubscriptionNotFound"),
        (f"{RG}/providers/Microsoft.Nope/things/x", 404, "InvalidResourceNamespace"),
        (f"{NET}/quantumRouters/x", 404, "InvalidResourceType"),
        (RG, 404, "ResourceGroupNotFound"),
        (VNET, 404, "ResourceGroupNotFound"),
        (f"{S}/resourcegroups/a%3Cb", 400, "BadRequest"),
        ("/v1.0/servicePrincipals", 400, "FeatureNotSupported"),
    ],
)
def test_what_is_not_there(client: Client, path: str, status: int, expected: str) -> None:
    answer = client.ask("GET", path)
    assert (answer.status_code, code(answer)) == (status, expected)


def test_a_method_that_a_resource_has_not_is_refused(client: Client) -> None:
    answer = client.ask("POST", RG, {})
    assert (answer.status_code, code(answer)) == (405, "MethodNotAllowed")


@pytest.mark.parametrize(
    "version", ["2019-08-01", "2024-11-01", "2026-06-01", "2022-05-01-preview"]
)
def test_versions_of_old_and_new_clients_are_taken(client: Client, version: str) -> None:
    assert client.ask("GET", f"{S}/resourcegroups", version=version).json() == {"value": []}


def test_the_store_is_its_owners_alone(client: Client, tmp_path: Path) -> None:
    for path in tmp_path.glob("arm.sqlite*"):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_an_answer_is_ascii_whatever_was_asked(client: Client) -> None:
    request = client.http.put(
        f"{RG}?api-version=2024-01-01",
        content=b'{"location": "\\ud800"}',
        headers={"Authorization": f"Bearer {client.token}"},
    )
    answer = client.run(request)
    assert answer.status_code == 400
    json.loads(answer.content.decode("ascii"))


def test_az_resource_finds_a_version_and_what_it_looks_for(client: Client) -> None:
    provider = client.ask("GET", f"{S}/providers/Microsoft.Network").json()
    versions = {one["resourceType"]: one["apiVersions"] for one in provider["resourceTypes"]}
    (version,) = versions["virtualNetworks"]
    client.document()
    asked = VNET.replace("Microsoft.Network/", "Microsoft.Network//")
    found = client.ask("GET", asked, version=version)
    assert (found.status_code, found.json()["id"]) == (200, VNET)
    wrong = client.ask("GET", RG.replace("NetworkLab", "") + "/providers/Microsoft.Network/x/y")
    assert (wrong.status_code, code(wrong)) == (400, "BadRequest")
