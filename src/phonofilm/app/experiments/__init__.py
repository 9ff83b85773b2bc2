"""Experiments that measure or export the models that ship."""
