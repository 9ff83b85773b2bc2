"""What is written: shards with an index, a card of the set, and the funnel in numbers."""
