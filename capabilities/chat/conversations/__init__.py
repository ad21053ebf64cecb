"""Conversations: made, listed, read branch by branch, searched, changed, exported, deleted. Nothing here calls a provider."""
