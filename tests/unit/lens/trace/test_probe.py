"""What a probe carries."""

from __future__ import annotations

from podwire.lens.trace.probe import Probe


def test_a_dns_server_of_a_cluster_answers_the_question_itself() -> None:
    """Asked on, the name would be in a second packet, which would be taken for the probe."""
    probe = Probe.new("udp", "10.200.0.10", 53)
    labels, rest = [], probe.payload[12:]
    while rest[0]:
        labels.append(rest[1 : rest[0] + 1])
        rest = rest[rest[0] + 1 :]
    assert labels == [probe.token, b"cluster", b"local"]
    (match,) = probe.matches
    assert probe.payload[match.offset - 8 :].startswith(probe.token)
