"""Sign in with Apple and with Google on one machine: whoever asks is who they say. Keys and ids are made at every start."""
