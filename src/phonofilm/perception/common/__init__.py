"""What the networks of this room share: input preparation, layers, and loading of checkpoints."""
