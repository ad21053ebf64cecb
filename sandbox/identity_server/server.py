"""Apple and Google, each on a loopback port of its own."""

from dataclasses import dataclass, field

from sandbox.apple_server.sold_app import ServerApiKey
from sandbox.clock import Clock, utc_now
from sandbox.http_listener import Listener
from sandbox.identity_server.apple import Apple
from sandbox.identity_server.client_secret import ClientSecretCheck
from sandbox.identity_server.google import CLIENT_ID as GOOGLE_CLIENT_ID
from sandbox.identity_server.google import Google
from sandbox.identity_server.id_tokens import IdTokens


@dataclass(frozen=True)
class Developer:
    """What a developer has of Apple: an app, a team, and a key, of the same kind as an In-App Purchase key."""

    client_id: str = "com.example.app"
    team_id: str = "STANDIN001"
    key: ServerApiKey = field(default_factory=ServerApiKey)


class IdentityServer:
    def __init__(self, *, clock: Clock = utc_now) -> None:
        self.developer = Developer()
        own = self.developer
        check = ClientSecretCheck(own.client_id, own.team_id, own.key.key_id, own.key.private_key.public_key(), clock)
        self.apple = Apple(IdTokens("https://appleid.apple.com", clock), check)
        self.google = Google(IdTokens("https://accounts.google.com", clock))
        self._apple, self._google = Listener(self.apple.answer), Listener(self.google.answer)

    @property
    def apple_url(self) -> str:
        return self._apple.url

    @property
    def google_url(self) -> str:
        return self._google.url

    @property
    def apple_settings(self) -> dict[str, str]:
        """What makes a development server take this for Apple."""
        return {
            "APPLE_CLIENT_IDS": self.developer.client_id,
            "APPLE_KEYS_URL": f"{self.apple_url}/auth/keys",
            "APPLE_SIGN_IN_URL": self.apple_url,
            "APPLE_SIGN_IN_KEY_ID": self.developer.key.key_id,
            "APPLE_SIGN_IN_TEAM_ID": self.developer.team_id,
            "APPLE_SIGN_IN_PRIVATE_KEY": self.developer.key.p8.decode(),
        }

    @property
    def google_settings(self) -> dict[str, str]:
        return {"GOOGLE_CLIENT_IDS": GOOGLE_CLIENT_ID, "GOOGLE_KEYS_URL": f"{self.google_url}/oauth2/v3/certs"}

    def start(self) -> None:
        """Also after a stop, on the same ports."""
        self._apple.start()
        self._google.start()

    def stop(self) -> None:
        self._apple.stop()
        self._google.stop()
