"""Scorers of the second edition of Foley World: lit scenes that combine six families, with stems."""
