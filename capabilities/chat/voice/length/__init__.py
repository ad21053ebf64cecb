"""How long a recording is, from its container: nothing is decoded, and no header is believed that says how long the rest will be."""
