"""How a command is typed so that it runs on a node of a lab."""

from __future__ import annotations

from podwire.model.layout import DEFAULT_LAB


def lab_option(lab: str) -> str:
    """What names the lab where it must be named: " --name LAB", else ""."""
    return f" --name {lab}" if lab not in ("", DEFAULT_LAB) else ""


def on_node(lab: str, node: str) -> str:
    """What stands before the command; "" without a lab, where the reader is on the node."""
    return f"podwire node exec{lab_option(lab)} {node} -- " if lab else ""
