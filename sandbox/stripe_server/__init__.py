"""A stateful Stripe on loopback, for `make run` and the tests.

It takes only parameters that the installed `stripe` package knows, answers in the shapes of that version, and sends
signed events. Money never moves. The folders follow the chapters of Stripe's own reference: `products`, `payments`,
`billing`, `hosted_pages`, `webhooks`; `protocol` is what holds for every request, `books.py` keeps all objects,
`pass_time.py` does what time alone does, and `controls.py` is how another process moves it.
"""
