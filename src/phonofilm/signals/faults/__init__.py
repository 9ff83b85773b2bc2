"""Technical faults of a picture and of a sound that a set for training should not have. Arrays in, numbers out."""
