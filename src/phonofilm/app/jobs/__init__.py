"""Jobs: one request, a batch, or a set of scenes, carried out and written to files."""
