"""The only door to Linux: netlink, nftables, namespaces, sysctl, processes."""
