"""One module for each family of resource types: what the endpoint answers for them."""
