"""Kubeconfigs as values: what kubectl and the components need to reach the API server.

Source: Kubernetes, "kubeconfig (v1)". No I/O but reading certificates that are to be embedded.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from podwire.cluster.files import write_file
from podwire.cluster.pki import Credential

Document: TypeAlias = dict[str, Any]


def cluster_entry(server: str, ca: Path, *, embed: bool = True) -> Document:
    """server: https://HOST:PORT; embed: the certificate itself instead of its path."""
    return {**_material("certificate-authority", ca, embed), "server": server}


def user_entry(credential: Credential, *, embed: bool = True) -> Document:
    certificate = _material("client-certificate", credential.certificate, embed)
    return {**certificate, **_material("client-key", credential.key, embed)}


def kubeconfig(
    server: str, credential: Credential, *, user: str, name: str = "default", embed: bool = True
) -> Document:
    """A kubeconfig of one context, `name`, which is also its cluster's name."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": cluster_entry(server, credential.ca, embed=embed)},
        ],
        "users": [{"name": user, "user": user_entry(credential, embed=embed)}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }


def to_yaml(document: Document) -> bytes:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1 << 30).encode()


def write_kubeconfig(path: Path, document: Document) -> None:
    """Atomically, 0600: it may hold a key."""
    write_file(path, to_yaml(document), mode=0o600)


def _material(field: str, path: Path, embed: bool) -> Document:
    if not embed:
        return {field: str(path)}
    return {f"{field}-data": base64.b64encode(path.read_bytes()).decode()}
