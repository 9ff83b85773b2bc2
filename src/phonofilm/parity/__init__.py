"""Parity of our ports with the reference implementations, on networks with pseudo-weights."""
