"""Pictures as they come in, and what of them a provider gets: upright, of a bounded size, and without metadata."""
