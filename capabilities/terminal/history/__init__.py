"""The commands that a user's devices ran, without the secrets in them."""
