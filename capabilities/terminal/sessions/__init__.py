"""Terminal sessions: their rows, what is asked about them over HTTP, and what goes on in the process that has them."""
