"""A support bundle: what somebody else needs to find a fault, without what opens doors.

Which files there are is said by whoever calls (an allow-list); each passes `redact`, whatever it
is. Must not know labs nor commands.
"""

from podwire.lens.bundle.items import Item, Text, output, tail
from podwire.lens.bundle.pack import Packed, pack

__all__ = ["Item", "Packed", "Text", "output", "pack", "tail"]
