"""Values and rules, no I/O: CIDR arithmetic, VNet, subnet and NIC, AKS limits and names, wiring, CNI types and errors."""
