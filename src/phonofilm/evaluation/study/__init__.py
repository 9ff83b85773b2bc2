"""Human studies: protocol, rating store, rater screening and statistics."""
