"""Speaking to a chat: a recording is transcribed, sent as a message, and the reply is spoken."""
