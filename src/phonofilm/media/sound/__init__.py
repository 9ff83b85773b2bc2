"""Sound of any length, piece after piece: read from a film, and measured."""
