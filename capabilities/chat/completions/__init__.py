"""Completions in OpenAI's format, of which nothing is stored, and what there is to ask: models, and what is left of the day."""
