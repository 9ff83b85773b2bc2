"""Signed manifests (C2PA 2): who made a file, with what, from what, and whether it was changed since."""
