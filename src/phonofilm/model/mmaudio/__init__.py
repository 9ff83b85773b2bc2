"""MMAudio's network (Cheng et al., 2412.15322) in its published layout."""
