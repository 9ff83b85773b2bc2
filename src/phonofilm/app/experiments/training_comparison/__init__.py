"""Joint against cascade against U-Net: trained alike at equal cost, sampled alike, scored alike."""
