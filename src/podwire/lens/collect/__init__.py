"""Live collection of a snapshot: of this machine's own node, or of all that a lab has.

The one part of lens that reads a kernel, a ledger, a runtime and an API server. It changes nothing
in any of them and never fails as a whole: what cannot be read is told in `Space.unread`. What only
a lab knows is handed over as values (`doors`); must not know how a lab is asked.
"""

from podwire.lens.collect.collector import collect
from podwire.lens.collect.doors import Api, Door, Place, Site

__all__ = ["Api", "Door", "Place", "Site", "collect"]
