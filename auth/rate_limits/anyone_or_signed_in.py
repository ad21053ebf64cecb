"""Guard of what can be read without an account, and is limited all the same."""

from dataclasses import dataclass

from auth.middleware import SignedIn, bearer_token
from auth.principal import Caller
from auth.rate_limits.open_reads import OpenReads
from security.edge.problems import Problem


@dataclass(frozen=True)
class AnyoneOrSignedIn:
    """Whoever sends a token or an API key is judged by it and counted by the general limit of the plan. Everybody else is
    counted by network address, and the handler's `caller` is None.

    A token that is not valid is refused, so that no app shows a signed-out page to somebody who thinks that they are signed in.
    """

    signed_in: SignedIn
    anyone: OpenReads

    @property
    def scheme(self) -> tuple[str | None, ...]:
        scheme = self.signed_in.scheme
        return (None, scheme) if isinstance(scheme, str) else (None, *scheme)

    @property
    def problems(self) -> tuple[type[Problem], ...]:
        return (*self.signed_in.problems, *self.anyone.problems)

    def admit(self) -> Caller | None:
        if bearer_token() is not None:
            return self.signed_in.admit()
        self.anyone.admit()
        return None
