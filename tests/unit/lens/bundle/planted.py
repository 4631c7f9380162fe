"""Secrets of each kind in the forms in which logs and objects carry them. None was ever real."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n{BODY[::-1]}\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLW9mLWl0"
ACCOUNT = "Zm9v" * 21 + "Zm" + "=="
ENCODED = base64.b64encode(PEM.encode()).decode()


@dataclass(frozen=True, slots=True)
class Planted:
    """text: as it is written; gone: what must not be left of it; kept: what must."""

    kind: str
    text: str
    gone: tuple[str, ...]
    kept: str = ""


def _json(value: object) -> str:
    return json.dumps(value)


_SECRET = {"kind": "Secret", "metadata": {"name": "shop"}, "data": {"pin": "c2VzYW1lMQ=="}}
_POD = {"env": [{"name": "PIN", "value": "sesame]2"}], "image": "shop:1"}

PLANTED = (
    Planted("private key", f"key:\n{PEM}\nnext", (BODY, BODY[::-1]), "next"),
    Planted("private key in JSON", _json({"pem": PEM}), (BODY, BODY[::-1])),
    Planted("private key, cut off", f"{BODY}\n-----END PRIVATE KEY-----\nnext", (BODY,), "next"),
    Planted("private key, without end", f"-----BEGIN PRIVATE KEY-----\n{BODY}", (BODY,)),
    Planted("key in base64", f"tls.key: {ENCODED}", (ENCODED, ENCODED[-40:])),
    Planted("service account's token", f'Mounted "{JWT}" for pod', (JWT, "c2lnbmF0"), "for pod"),
    Planted("bootstrap token", "joined with 07401b.f395accd246ae52d now", ("f395accd",), "now"),
    Planted("header", "GET / Authorization: Basic dXNlcjpzZXNhbWUz", ("dXNlcjpz",), "GET /"),
    Planted(
        "header in Go", "map[Authorization:[Bearer c2VzYW1l.NA] X:[y]]", ("c2VzYW1l",), "X:[y]"
    ),
    Planted("header in JSON", _json({"Authorization": "SharedKey acc:c2VzYW1lNQ"}), ("c2VzYW1l",)),
    Planted("bearer", "curl: Bearer opaque-sesame-6 refused", ("opaque-sesame-6",), "refused"),
    Planted("cookie", "Set-Cookie: session=sesame7; Path=/", ("sesame7",)),
    Planted(
        "SAS",
        "https://a.blob.core.windows.net/c?sv=2020-08-04&sig=c2VzYW1l%2FOA%3D&se=2026",
        ("c2VzYW1l%2FOA",),
        "sv=2020-08-04",
    ),
    Planted("SAS in JSON", r'"https://a/c?sv=1\u0026sig=sesame9abc"', ("sesame9abc",)),
    Planted("account key", f"DefaultEndpointsProtocol=https;AccountKey={ACCOUNT};x", (ACCOUNT,)),
    Planted("URL", "pull https://me:sesame10@registry/v2 failed", ("sesame10",), "@registry/v2"),
    Planted(
        "kubeconfig",
        f"users:\n- name: admin\n  user:\n    client-key-data: {ENCODED}\n    token: sesame11\n"
        "    password: two words\n    username: me",
        (ENCODED[:40], "sesame11", "two words"),
        "username: me",
    ),
    Planted(
        "kubeconfig, folded", "token: >-\n    sesame12\n    more13\nnext: 1", ("sesame12", "more13")
    ),
    Planted(
        "protectedSettings",
        _json({"protectedSettings": {"a": {"b": "}sesame14"}, "script": "sesame15"}, "type": "x"}),
        ("sesame14", "sesame15"),
        "type",
    ),
    Planted("protectedSettings, text", '"protectedSettings": "c2VzYW1lMTY="', ("c2VzYW1lMTY",)),
    Planted("Secret", _json(_SECRET), ("c2VzYW1lMQ",), "shop"),
    Planted("Secret in JSON in JSON", _json({"last": _json(_SECRET)}), ("c2VzYW1lMQ",), "shop"),
    Planted(
        "Secret in YAML",
        "kind: Secret\ndata:\n  pin: c2VzYW1lMTc=\n  b: |\n    c2VzYW1lMTg=\nmetadata: {}",
        ("c2VzYW1lMTc", "c2VzYW1lMTg"),
        "metadata",
    ),
    Planted("stringData", 'stringData:\n  pin: sesame19\nkind: "x"', ("sesame19",), "kind"),
    Planted("environment", _json(_POD), ("sesame]2",), "shop:1"),
    Planted("environment in JSON in JSON", _json({"last": _json(_POD)}), ("sesame]2",), "shop:1"),
    Planted(
        "environment in YAML",
        "env:\n- name: PIN\n  value: sesame20 and more\n- name: B\n",
        ("sesame20", "and more"),
        "name: B",
    ),
    Planted(
        "environment in Go",
        "&Container{Env:[]EnvVar{EnvVar{Name:PIN,Value:sesame21,ValueFrom:nil,},},Name:c,}",
        ("sesame21",),
        "Name:c",
    ),
    Planted(
        "environment, cut off",
        "EnvVar{Name:P,Value:sesame22,ValueFrom:nil",
        ("sesame22",),
    ),
    Planted("argument", "kubelet --token sesame23 --v=2", ("sesame23",), "--v=2"),
    Planted(
        "argument with =", "az login --password=sesame24 --tenant=t", ("sesame24",), "tenant=t"
    ),
    Planted("named", "DB_PASSWORD=sesame25{x} HOME=/root", ("sesame25", "{x}"), "HOME=/root"),
    Planted("named, escaped", r"{\"clientSecret\":\"sesame\\\"q26\",\"id\":\"7\"}", ("q26",), "id"),
    Planted("docker's", '{"auths":{"r":{"auth":"bWU6c2VzYW1lMjc="}}}', ("bWU6c2Vz",), "auths"),
)
