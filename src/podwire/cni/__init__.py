"""The CNI protocol, the two plugins and their installer."""
