"""Subtitles: what is said and heard, with times; from files and tracks, and into them."""
