"""What all scenes share: their truth, space, physics, words and colours."""
