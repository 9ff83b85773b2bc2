"""A feed-forward of many experts, of which each token uses a few."""
