"""Sessions: shells that live in the realtime process, the rows that tell of them, and the socket that they are used by."""
