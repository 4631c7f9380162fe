"""STATUS: whether an ADD could be served now. It changes nothing in the kernel.

Source: CNI specification 1.1.0, section 2 (STATUS) and its codes 50 and 51. A full pool is no
reason to refuse: a runtime would call the whole node not ready, while its pods are well.
"""

from __future__ import annotations

from collections.abc import Callable

from podwire.cni import delegate
from podwire.ipam.lease import OWN_IPAM
from podwire.ipam.ledger import Ledger
from podwire.model.cni import Request
from podwire.model.cni_error import LIMITED, NOT_AVAILABLE, CniError
from podwire.model.errors import PodwireError


def addresses(ipam: str, request: Request, refresh: Callable[[], object]) -> None:
    """Raises CniError 50 when nobody can give addresses.

    ipam: the configured plugin; refresh: what fills our own ledger when it is empty.
    """
    if ipam in ("", OWN_IPAM):
        _or_unavailable(refresh)
    else:
        _or_unavailable(lambda: delegate.find(ipam, request.path))


def network(ledger: Ledger, find: Callable[[], object]) -> None:
    """find: what finds the node's card. Raises CniError 50, or 51 when pods depend on it."""
    try:
        find()
    except PodwireError as error:
        code = LIMITED if ledger.leases() else NOT_AVAILABLE
        raise CniError(code, _words(error)) from error


def _or_unavailable(call: Callable[[], object]) -> None:
    try:
        call()
    except PodwireError as error:
        raise CniError(NOT_AVAILABLE, _words(error)) from error


def _words(error: PodwireError) -> str:
    details = error.details if isinstance(error, CniError) else ""
    return f"cannot serve ADD: {error}" + (f" ({details})" if details else "")
