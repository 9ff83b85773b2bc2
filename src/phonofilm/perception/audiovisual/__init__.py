"""Networks that take picture and sound together."""
