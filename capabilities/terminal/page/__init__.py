"""`/terminal`: shells in a browser. Its script is a client of the public API like any other."""
