"""Optimisers, learning-rate schedules and averaged weights."""
