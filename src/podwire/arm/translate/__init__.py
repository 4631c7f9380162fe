"""Between Azure's bodies and the lab's values. Pure."""
