"""What every server here shares: refusals, limits, bodies and films over HTTP."""
