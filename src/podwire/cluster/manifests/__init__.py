"""The Kubernetes objects that a cluster starts with, as YAML text. Must not talk to any server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template

from podwire.cluster.images.recipes import IP_MASQ_AGENT, OWN_HOST
from podwire.model.cluster import CLUSTER_DOMAIN

HERE = Path(__file__).parent
CLUSTER_DNS_IMAGE = f"{OWN_HOST}/podwire/cluster-dns:latest"
NGINX_FILE = HERE / "nginx.yaml"


def cluster_dns_manifest(dns_service_ip: str, domain: str = CLUSTER_DOMAIN) -> str:
    """The cluster's DNS in kube-system, behind the Service kube-dns at `dns_service_ip`."""
    values = {"address": dns_service_ip, "domain": domain, "image": CLUSTER_DNS_IMAGE}
    return _filled("cluster-dns.yaml", values)


def ip_masq_agent_manifest() -> str:
    """azure-ip-masq-agent in kube-system, without its ConfigMap, which is the user's to edit."""
    return _filled("ip-masq-agent.yaml", {"image": IP_MASQ_AGENT})


def _filled(name: str, values: Mapping[str, str]) -> str:
    template = Template((HERE / name).read_text())
    return template.substitute({name: json.dumps(value) for name, value in values.items()})


def nginx_manifest() -> str:
    """The document's workload: the file that a reader applies by hand as well."""
    return NGINX_FILE.read_text()
