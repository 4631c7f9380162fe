"""Between packets and names: one query in, one reply out, or word that others must answer.

Must not know sockets. Source: RFC 1035, RFC 6891 (EDNS).
"""

from __future__ import annotations

from dataclasses import dataclass

import dnslib
from dnslib.label import DNSLabelError

from .zone import Answer, Record

FORMERR, SERVFAIL, NOTIMP, REFUSED = 1, 2, 4, 5
_CLASSIC_SIZE, _EDNS_SIZE = 512, 1232


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. size: the largest reply that the asker takes over UDP."""

    packet: dnslib.DNSRecord
    name: str
    kind: str
    size: int = _CLASSIC_SIZE


def parse(data: bytes) -> Query | bytes | None:
    """The query in a packet; a finished reply when it is refused; None to stay silent."""
    if len(data) < 12 or data[2] & 0x80:
        return None
    try:
        packet = dnslib.DNSRecord.parse(data)
    except (dnslib.DNSError, ValueError, IndexError):
        return _bare(data, FORMERR)
    if packet.header.opcode:
        return _bare(data, NOTIMP)
    if len(packet.questions) != 1:
        return _bare(data, FORMERR)
    if packet.q.qclass not in (dnslib.CLASS.IN, dnslib.CLASS.reverse["*"]):
        return failure(Query(packet, "", ""), REFUSED)
    name = b".".join(packet.q.qname.label).decode("latin-1").lower()
    kind = dnslib.QTYPE.forward.get(packet.q.qtype, f"TYPE{packet.q.qtype}")
    return Query(packet, name, kind, _size(packet))


def _size(packet: dnslib.DNSRecord) -> int:
    sizes = [one.edns_len for one in packet.ar if one.rtype == dnslib.QTYPE.OPT]
    return max(_CLASSIC_SIZE, min(*sizes, _EDNS_SIZE)) if sizes else _CLASSIC_SIZE


def _bare(data: bytes, rcode: int) -> bytes:
    """A reply without a question, to something that could not be read or is not a query."""
    header = dnslib.DNSHeader(id=int.from_bytes(data[:2], "big"), qr=1, rcode=rcode)
    header.opcode = data[2] >> 3 & 15
    return bytes(dnslib.DNSRecord(header).pack())


def failure(query: Query, rcode: int = SERVFAIL) -> bytes:
    return bytes(_reply(query, rcode).pack())


def _reply(query: Query, rcode: int) -> dnslib.DNSRecord:
    reply = query.packet.reply(ra=1, aa=0)
    reply.header.rcode = rcode
    if any(one.rtype == dnslib.QTYPE.OPT for one in query.packet.ar):
        reply.add_ar(dnslib.EDNS0(udp_len=_EDNS_SIZE))
    return reply


def encode(query: Query, answer: Answer, *, followed: bytes = b"") -> bytes:
    """The reply as bytes. followed: the others' reply for the target of the answer's CNAME.

    A failure when something in it cannot be written, as a label longer than 63 bytes cannot.
    """
    try:
        return bytes(_encode(query, answer, followed).pack())
    except (dnslib.DNSError, DNSLabelError, ValueError):
        return failure(query)


def _encode(query: Query, answer: Answer, followed: bytes) -> dnslib.DNSRecord:
    reply = _reply(query, answer.rcode)
    reply.header.aa = 1
    for record in answer.records:
        reply.add_answer(_rr(record, query))
    for record in answer.authority:
        reply.add_auth(_rr(record, query))
    for record in answer.additional:
        reply.add_ar(_rr(record, query))
    if followed:
        beyond = dnslib.DNSRecord.parse(followed)
        reply.header.rcode = beyond.header.rcode
        reply.add_answer(*beyond.rr)
    return reply


def _rr(record: Record, query: Query) -> dnslib.RR:
    """The question's own name is repeated as it was asked, upper case and all."""
    owner = query.packet.q.qname if record.name == query.name else record.name
    kind = record.kind
    if kind == "TXT":
        data = dnslib.TXT(record.data.strip('"').encode())
    elif kind == "SRV":
        priority, weight, port, target = record.data.split()
        data = dnslib.SRV(int(priority), int(weight), int(port), target)
    elif kind == "SOA":
        server, mailbox, *numbers = record.data.split()
        data = dnslib.SOA(server, mailbox, tuple(map(int, numbers)))
    else:
        data = getattr(dnslib, kind)(record.data)
    return dnslib.RR(owner, getattr(dnslib.QTYPE, kind), ttl=record.ttl, rdata=data)


def truncated(query: Query, reply: bytes) -> bytes:
    """`reply`, or the word to come back over TCP when it is larger than the asker takes."""
    if len(reply) <= query.size:
        return reply
    short = _reply(query, dnslib.DNSRecord.parse(reply).header.rcode)
    short.header.tc = 1
    return bytes(short.pack())


def question(name: str, kind: str) -> bytes:
    """A query of our own for others."""
    return bytes(dnslib.DNSRecord.question(name, kind).pack())
