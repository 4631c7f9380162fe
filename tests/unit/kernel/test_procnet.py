from __future__ import annotations

import pytest

from podwire.kernel.procnet import Flow, flows

_TCP = (
    "tcp      6 431999 ESTABLISHED src=10.220.2.5 dst=10.200.0.1 sport=57250 dport=443 "
    "src=172.31.0.4 dst=10.220.2.5 sport=443 dport=57250 [ASSURED] mark=16384 use=2"
)


@pytest.mark.parametrize("line", [_TCP, f"ipv4     2 {_TCP}"])
def test_a_connection_as_the_file_and_as_the_program_tell_it(line):
    original = ("10.220.2.5", 57250, "10.200.0.1", 443)
    reply = ("172.31.0.4", 443, "10.220.2.5", 57250)
    assert list(flows([line])) == [Flow("tcp", original, reply, "ESTABLISHED", 16384)]


def test_protocols_without_state_or_ports():
    there, back = "src=1.1.1.1 dst=2.2.2.2", "src=2.2.2.2 dst=1.1.1.1"
    udp = f"udp 17 29 {there} sport=5 dport=53 [UNREPLIED] {back} sport=53 dport=5 mark=0 use=1"
    icmp = f"icmp 1 9 {there} type=8 code=0 id=7 {back} type=0 code=0 id=7 use=1"
    first, second = flows([udp, icmp])
    assert (first.state, first.reply) == ("", ("2.2.2.2", 53, "1.1.1.1", 5))
    assert second == Flow("icmp", ("1.1.1.1", 0, "2.2.2.2", 0), ("2.2.2.2", 0, "1.1.1.1", 0), "", 0)


def test_what_is_no_connection_is_left_out():
    assert list(flows(["", "conntrack v1.4.7: 2 flow entries", "tcp 6 9 CLOSE src=1.1.1.1"])) == []
