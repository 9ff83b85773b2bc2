"""Faces that talk: head, hair, mouth shapes, and recorded phrases."""
