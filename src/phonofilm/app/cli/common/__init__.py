"""What all commands share: their flags and options, and where they write."""
