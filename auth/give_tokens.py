"""How tokens reach the client that signed in or refreshed: the one place where every such answer is made."""

from auth.bodies import signed_in_answer, tokens_answer
from auth.issue_tokens import TokenPair
from auth.register import SignedInUser
from security.operation import Answer


def answer_signed_in(signed_in: SignedInUser, *, status: int = 200) -> Answer:
    return Answer(status, signed_in_answer(signed_in))


def answer_tokens(tokens: TokenPair) -> Answer:
    return Answer(200, tokens_answer(tokens))
