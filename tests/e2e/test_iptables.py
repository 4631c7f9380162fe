"""The iptables chapter: a node's rules as kube-proxy writes them for the document's Service."""

from __future__ import annotations

import base64
import hashlib

from tests.e2e.harness import LabHarness

NGINX = "KUBE-SVC-2CMXP7HKUVJN7L6M"
"""Of default/nginx and tcp. The chapter's cluster was of 1.17, which wrote an unnamed port as
`default/nginx:`: KUBE-SVC-4N57TFCL4MD7ZTDA."""


def chain(kind: str, *parts: str) -> str:
    """Kubernetes, pkg/proxy/iptables: servicePortChainName, servicePortEndpointChainName."""
    digest = hashlib.sha256("".join(parts).encode()).digest()
    return f"{kind}-{base64.b32encode(digest).decode()[:16]}"


def test_a_service_is_a_chain_with_one_for_each_of_its_pods(lab: LabHarness) -> None:
    assert chain("KUBE-SVC", "default/nginx:", "tcp") == "KUBE-SVC-4N57TFCL4MD7ZTDA"
    vip = lab.get("svc", "nginx")["spec"]["clusterIP"]
    pods = [one["status"]["podIP"] for one in lab.pods("run=nginx")]
    wanted = {one: chain("KUBE-SEP", "default/nginx", "tcp", f"{one}:80") for one in pods}
    for node in lab.nodes():
        rules = lab.on_node(node, "iptables -t nat -S").splitlines()
        ours = [one for one in rules if f" -d {vip}/32 " in one]
        assert any("! -s 10.220.2.0/24" in one and "-j KUBE-MARK-MASQ" in one for one in ours)
        assert any(one.endswith(f"-j {NGINX}") for one in ours)
        leads = [one.split()[-1] for one in rules if one.startswith(f"-A {NGINX} ")]
        assert set(leads) >= set(wanted.values()), rules
        for address, name in wanted.items():
            mine = [one for one in rules if one.startswith(f"-A {name} ")]
            assert any(f"--to-destination {address}:80" in one for one in mine)
            assert any(f"-s {address}/32" in one and "KUBE-MARK-MASQ" in one for one in mine)
