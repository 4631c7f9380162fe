"""A read-only Docker Engine API over a node's CRI: what `docker ps|inspect|logs` ask for."""

from podwire.cluster.docker_api.api import DockerApi

__all__ = ["DockerApi"]
