"""Podwire: AKS networking made real on one Linux machine."""

__version__ = "0.1.0"
