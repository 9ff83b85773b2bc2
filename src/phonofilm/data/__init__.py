"""From raw clips to precomputed shards, and back as batches."""
