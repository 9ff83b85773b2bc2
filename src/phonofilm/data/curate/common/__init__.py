"""What every step knows: sources, shots, what is read of them, and the results that are kept."""
