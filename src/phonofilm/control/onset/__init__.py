"""Onsets of a silent film: when something happens that ought to be heard."""
