"""Values and rules, no I/O: CIDRs, VNet, subnet, NIC, AKS limits and names, wiring, CNI types."""
