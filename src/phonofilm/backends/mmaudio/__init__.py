"""MMAudio: sound for films and from text, by its published weights (Cheng et al., 2412.15322)."""
