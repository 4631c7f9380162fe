"""The Azure Resource Manager endpoint."""
