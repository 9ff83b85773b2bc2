"""What an installation keeps for itself: its keys, and a log of what it made."""
