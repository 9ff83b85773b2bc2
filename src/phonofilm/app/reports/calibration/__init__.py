"""What a calibration looks like: plots and a page."""
