"""Shots of a film: every frame small, one part exactly, and that part as a file of its own without encoding."""
