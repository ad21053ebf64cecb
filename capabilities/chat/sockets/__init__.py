"""Chat on a socket that a client keeps open: rooms, replies as they are written, and what changed elsewhere. Knows no server."""
