"""A request as Stripe reads, refuses and answers it, whatever it is about."""
