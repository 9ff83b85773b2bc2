"""Synchrony of picture and sound: offset, drift, and the arithmetic of DeSync, AV-Align and lip sync."""
