"""What servers and workers share: settings, logs, files."""
