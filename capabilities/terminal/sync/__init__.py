"""What a user's devices share: small values under a kind and a key, with one revision for all."""
