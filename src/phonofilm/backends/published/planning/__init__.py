"""Estimates of memory and time before a published model is loaded."""
