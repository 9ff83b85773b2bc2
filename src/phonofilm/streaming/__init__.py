"""Film that is made while it is watched: sources of chunks, and how chunks are delivered."""
