"""For the people who run the service: what they see of it."""
