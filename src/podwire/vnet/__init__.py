"""The local VNet: segments, NICs, wire server, IMDS, DNS."""
