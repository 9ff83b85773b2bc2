"""Jobs: what a request is in JSON, and running one without a terminal."""
