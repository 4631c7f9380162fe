"""What is wrong with a node or a lab, told from a snapshot, and mended where it is ours."""
