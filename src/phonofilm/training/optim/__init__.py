"""Optimisers, learning-rate schedules and averaged weights."""

from phonofilm.training.optim.optimizers import OptimConfig, Optimisers, lr_scale

__all__ = ["OptimConfig", "Optimisers", "lr_scale"]
