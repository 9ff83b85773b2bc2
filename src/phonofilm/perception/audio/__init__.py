"""Networks that listen to sound."""
