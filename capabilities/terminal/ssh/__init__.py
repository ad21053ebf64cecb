"""SSH: keys, known hosts, profiles, and the connection itself. Nothing here knows sockets or sessions."""
