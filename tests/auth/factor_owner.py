"""A person with an account, and what that person does with second factors."""

from typing import Any

import pyotp
from werkzeug.test import TestResponse

from tests.auth.accounts_app import Accounts, bearer
from tests.auth.software_passkey import SoftwarePasskey


class FactorOwner:
    """Registers when made. `access_token` is that of the session in which factors are changed."""

    def __init__(self, accounts: Accounts, email: str = "alice@example.com") -> None:
        self.accounts = accounts
        self.email = email
        account = accounts.register(email)
        self.user_id: str = account["user"]["id"]
        self.access_token: str = account["access_token"]
        self.refresh_token: str = account["refresh_token"]
        self.secret = ""
        self.recovery_codes: list[str] = []

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> TestResponse:
        headers = bearer(token or self.access_token)
        return self.accounts.client.open(f"/api/auth{path}", method=method, json=body, headers=headers)

    def code(self, steps: int = 0) -> str:
        """The code of the authenticator app, now or some steps away."""
        return pyotp.TOTP(self.secret).at(self.accounts.clock(), counter_offset=steps)

    def wrong_code(self) -> str:
        near = {self.code(steps) for steps in (-1, 0, 1)}
        return next(code for code in ("000000", "000001", "000002", "000003") if code not in near)

    def set_up_totp(self) -> None:
        self.secret = self.ask("POST", "/second-factor/totp/setup").get_json()["secret"]

    def turn_on_totp(self) -> None:
        """Afterwards the next code is a new one."""
        self.set_up_totp()
        answer = self.ask("POST", "/second-factor/totp/confirm", {"code": self.code()})
        assert answer.status_code == 200, answer.text
        self.recovery_codes = answer.get_json()["recovery_codes"]
        self.accounts.clock.advance(seconds=30)

    def add_passkey(self, name: str = "phone", **kind: Any) -> SoftwarePasskey:
        passkey = SoftwarePasskey(**kind)
        answer = self.register(passkey.create(self.registration_options()), name)
        assert answer.status_code == 201, answer.text
        self.recovery_codes = answer.get_json()["recovery_codes"] or self.recovery_codes
        return passkey

    def registration_options(self) -> dict[str, Any]:
        return dict(self.ask("POST", "/passkeys/registration/options").get_json()["options"])

    def register(self, credential: dict[str, Any], name: str = "phone") -> TestResponse:
        return self.ask("POST", "/passkeys/registration", {"name": name, "credential": credential})

    def begin_sign_in(self, **more: Any) -> str:
        """The challenge of a sign-in whose password was right."""
        answer = self.accounts.sign_in(self.email, **more)
        assert answer.status_code == 401, answer.text
        assert answer.get_json()["error"] == "mfa_required"
        return str(answer.get_json()["challenge"])

    def finish(self, challenge: str, **proof: Any) -> TestResponse:
        return self.accounts.post("/login/second-factor", {"challenge": challenge, **proof})

    def sign_in_options(self, challenge: str) -> dict[str, Any]:
        answer = self.accounts.post("/login/second-factor/passkey/options", {"challenge": challenge})
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json()["options"])

    def status(self) -> dict[str, Any]:
        return dict(self.ask("GET", "/second-factor").get_json())
