import pytest

from podwire.cluster.views import pod_status, pod_view, service_view


def pod(**status):
    return {
        "metadata": {"namespace": "default", "name": "nginx-1", "creationTimestamp": "T"},
        "spec": {"containers": [{"name": "nginx"}], "nodeName": "n1"},
        "status": {"phase": "Running", "podIP": "10.220.2.5", **status},
    }


def test_running_pod():
    containers = [{"ready": True, "restartCount": 2, "state": {"running": {}}}]
    view = pod_view(pod(containerStatuses=containers))
    assert (view.ready, view.status, view.restarts) == ("1/1", "Running", 2)
    assert (view.ip, view.node) == ("10.220.2.5", "n1")


def test_pod_that_no_node_has_yet():
    view = pod_view({**pod(), "spec": {"containers": [{}]}, "status": {"phase": "Pending"}})
    assert (view.ready, view.status, view.ip, view.node) == ("0/1", "Pending", "", "")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"waiting": {"reason": "ImagePullBackOff"}}, "ImagePullBackOff"),
        ({"waiting": {}}, "Running"),
        ({"terminated": {"reason": "OOMKilled", "exitCode": 137}}, "OOMKilled"),
        ({"terminated": {"signal": 9, "exitCode": 137}}, "Signal:9"),
        ({"terminated": {"exitCode": 3}}, "ExitCode:3"),
        ({"running": {}}, "Running"),
    ],
)
def test_status_is_why_a_container_does_not_run(state, expected):
    assert pod_status(pod(containerStatuses=[{"state": state}])) == expected


def test_status_of_a_pod_that_goes():
    going = pod()
    going["metadata"]["deletionTimestamp"] = "T"
    assert pod_status(going) == "Terminating"


def test_status_of_an_evicted_pod():
    assert pod_status(pod(phase="Failed", reason="Evicted")) == "Evicted"


def service(kind="ClusterIP", ingress=(), **spec):
    return {
        "metadata": {"namespace": "default", "name": "nginx", "creationTimestamp": "T"},
        "spec": {
            "type": kind,
            "clusterIP": "10.200.6.35",
            "ports": [{"port": 80, "protocol": "TCP"}],
            **spec,
        },
        "status": {"loadBalancer": {"ingress": list(ingress)}},
    }


@pytest.mark.parametrize(
    ("given", "external"),
    [
        (service(), "<none>"),
        (service(externalIPs=["1.2.3.4", "1.2.3.5"]), "1.2.3.4,1.2.3.5"),
        (service("LoadBalancer"), "<pending>"),
        (service("LoadBalancer", [{"ip": "10.220.3.4"}]), "10.220.3.4"),
        (service("ExternalName", externalName="a.example"), "a.example"),
    ],
)
def test_external_address(given, external):
    assert service_view(given).external == external


def test_ports():
    node_port = [
        {"port": 80, "nodePort": 31234, "protocol": "TCP"},
        {"port": 53, "protocol": "UDP"},
    ]
    assert service_view(service(ports=node_port)).ports == "80:31234/TCP,53/UDP"
    assert service_view(service("ExternalName", ports=None, clusterIP=None)).ports == "<none>"
    assert service_view(service(clusterIP="None")).cluster_ip == "None"
