"""What a training run would take, before it is begun."""
