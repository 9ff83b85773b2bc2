"""What attaches to a frozen network, and what tells it when things happen."""
