"""Measurement of signals and of synchrony: onsets, motion, offset and drift.

Functions take arrays and return numbers; they read no files and load no networks.
"""
