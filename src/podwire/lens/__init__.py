"""Snapshot, explain, trace, doctor, figures."""
