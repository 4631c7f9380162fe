"""kube-proxy's configuration."""

from __future__ import annotations

from pathlib import Path

import yaml

from podwire.cluster.kube_proxy import kube_proxy_config, kube_proxy_steps
from podwire.cluster.node_root import File, Link


def test_the_machines_conntrack_table_is_left_alone() -> None:
    """kube-proxy sets a limit above 0 and a timeout above 0, for the whole machine."""
    conntrack = kube_proxy_config("n0", "10.220.2.0/24")["conntrack"]
    assert conntrack["maxPerCore"] == 0
    assert conntrack["tcpEstablishedTimeout"] == conntrack["tcpCloseWaitTimeout"] == "0s"


def test_packets_of_the_subnet_keep_their_source() -> None:
    config = kube_proxy_config("n0", "10.220.2.0/24")
    assert (config["mode"], config["clusterCIDR"]) == ("iptables", "10.220.2.0/24")
    assert config["hostnameOverride"] == "n0"


def test_its_kubeconfig_is_where_it_looks_and_only_root_reads_it() -> None:
    steps = kube_proxy_steps("n0", "10.220.2.0/24", Path("/c/kube-proxy"), "SECRET")
    files = {one.path: one for one in steps if isinstance(one, File)}
    config = yaml.safe_load(files["/etc/kubernetes/kube-proxy.yaml"].text)
    secret = files[config["clientConnection"]["kubeconfig"]]
    assert (secret.text, secret.mode) == ("SECRET", 0o600)
    assert Link("/usr/local/bin/kube-proxy", "/c/kube-proxy") in steps
