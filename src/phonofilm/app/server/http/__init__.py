"""What answers: OpenAI's videos API and what is beside it, who may ask, and what is refused."""
