"""Work at the resolution of a picture's latents, beside the tokens."""
