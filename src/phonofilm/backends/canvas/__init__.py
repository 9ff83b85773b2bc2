"""The canvas of a request: what is given, what is to be made, and how windows lie on it."""
