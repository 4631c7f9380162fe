from __future__ import annotations

import json

from podwire.vnet.drops import Drops, parse_drops


def counter(family, name, packets):
    return {
        "counter": {
            "family": family,
            "name": name,
            "table": "vnet",
            "handle": 1,
            "packets": packets,
            "bytes": 99,
        }
    }


def test_the_counters_are_told_apart_by_family_and_name():
    listing = [
        {"metainfo": {"version": "1.0.6"}},
        counter("ip", "spoofed", 3),
        counter("ip", "unowned", 5),
        counter("arp", "spoofed", 7),
    ]
    assert parse_drops(json.dumps({"nftables": listing})) == Drops(3, 7, 5)
