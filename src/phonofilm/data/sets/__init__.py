"""Public data sets of the field by their published layouts: what is in them, whether it is whole, and as shards."""
