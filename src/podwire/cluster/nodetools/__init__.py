"""The node's own `docker` and `crictl`: scripts of the standard library alone.

`install` puts this directory's modules on a node, where they run without Podwire's package; they
import one another relatively and nothing else of Podwire.
"""
