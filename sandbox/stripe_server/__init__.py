"""A stateful Stripe on loopback, for `make run` and the tests.

It takes only parameters that the installed `stripe` package knows, answers in the shapes of that version, and sends
signed events. Money never moves.
"""
