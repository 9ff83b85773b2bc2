"""Networks that learn to do as their teacher does, in fewer steps or chunk by chunk."""
