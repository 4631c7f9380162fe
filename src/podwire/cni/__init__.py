"""CNI plugins in Python: what a plugin is written with. See docs/writing-plugins.md.

A plugin is an executable that ends with a call of `plugin(add=..., delete=..., check=...)`. Its
functions get a `Request`; add returns a `Result`; each raises `CniError` to refuse. The frame
around them (versions, environment, exactly one JSON document, exit status) is podwire.cni.protocol,
the same that azure-vnet runs in. Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podwire.cni.delegate import call as call_plugin
    from podwire.cni.functions import plugin
    from podwire.cni.protocol import Plugin, serve
    from podwire.model.cni import Request
    from podwire.model.cni_error import SUPPORTED, CniError
    from podwire.model.cni_result import Dns, Interface, IpConfig, PodRoute, Result
    from podwire.model.errors import PodwireError

__all__ = [
    "SUPPORTED",
    "CniError",
    "Dns",
    "Interface",
    "IpConfig",
    "Plugin",
    "PodRoute",
    "PodwireError",
    "Request",
    "Result",
    "call_plugin",
    "plugin",
    "serve",
]
_RESULTS = ("Dns", "Interface", "IpConfig", "PodRoute", "Result")
_WHERE = {
    "CniError": "podwire.model.cni_error:CniError",
    "Plugin": "podwire.cni.protocol:Plugin",
    "PodwireError": "podwire.model.errors:PodwireError",
    "Request": "podwire.model.cni:Request",
    "SUPPORTED": "podwire.model.cni_error:SUPPORTED",
    "call_plugin": "podwire.cni.delegate:call",
    "plugin": "podwire.cni.functions:plugin",
    "serve": "podwire.cni.protocol:serve",
    **{name: f"podwire.model.cni_result:{name}" for name in _RESULTS},
}


def __getattr__(name: str) -> Any:
    """Source: PEP 562."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module, _, original = _WHERE[name].partition(":")
    value = getattr(importlib.import_module(module), original)
    globals()[name] = value
    return value
