"""Synthesis of effects and music."""
