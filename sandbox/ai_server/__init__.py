"""Stand-ins for the AI providers on loopback, for `make run` and the tests: OpenAI, Anthropic, Google, Groq and OpenRouter.

Each takes only parameters that the installed `openai` and `anthropic` packages know, answers in their shapes, and keeps
books of what it would have billed. The text of an answer follows from the request alone.
"""
