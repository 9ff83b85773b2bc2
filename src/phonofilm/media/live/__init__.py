"""Films that are written, and read, while they are still being made."""
