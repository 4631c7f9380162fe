"""Kubernetes on namespaced nodes: binaries, images, certificates, control plane, nodes."""
