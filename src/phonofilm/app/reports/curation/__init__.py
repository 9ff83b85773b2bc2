"""The report of a curation: what went in, what stayed, and why the rest did not."""
