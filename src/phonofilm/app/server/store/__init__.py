"""The one record of jobs, keys and messages: SQLite beside the films, or PostgreSQL by its URL."""
