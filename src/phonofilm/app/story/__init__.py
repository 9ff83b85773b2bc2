"""Storyboards: several shots, one cast, one sound bed, one film."""
