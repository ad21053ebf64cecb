"""How many sockets there may be at once: in this process, and from one network address."""

from collections import Counter

from security.edge.client_address import network_of
from security.edge.problems import Problem, TooBusy, retry_after

RETRY_SECONDS = 5


class TooManySockets(Problem):
    status, error, title = 429, "too_many_sockets", "Too many sockets are open"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers=retry_after(RETRY_SECONDS))


class Caps:
    """Sockets count from their first byte, whether or not somebody has signed in on them."""

    def __init__(self, most: int, per_address: int) -> None:
        self._most, self._per_address = most, per_address
        self._by_network: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def check(self, address: str) -> None:
        """Whether one more may come. Raises TooBusy, TooManySockets."""
        if self._count >= self._most:
            raise TooBusy("This server holds as many sockets as it can. Try again in a moment", seconds=RETRY_SECONDS)
        if self._by_network.get(network_of(address), 0) >= self._per_address:
            raise TooManySockets(f"Your network address already has {self._per_address} sockets open. Close one first")

    def take(self, address: str) -> None:
        self._count += 1
        self._by_network[network_of(address)] += 1

    def give_back(self, address: str) -> None:
        network = network_of(address)
        self._count -= 1
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]
