"""Features: what is computed once per clip and shared by many metrics."""
