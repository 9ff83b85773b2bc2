"""Modules that attach to a frozen network through zero-initialised inputs: attached, they change nothing at first."""
