"""Customers in front of the page."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from auth.tiers import Tier
from tests.admin.dashboard import BASE, FROM_A_PAGE_OF_OURS, Dashboard, Staff
from tests.auth.accounts_app import bearer
from tests.capabilities.chat.running_chat import MESSAGES, RunningChat

PATH = "/portal/chat"


@dataclass
class Visitor:
    """Signed in to the portal, with the page open."""

    running: RunningChat
    staff: Staff
    token: str = ""

    @property
    def user_id(self) -> UUID:
        return self.staff.user_id

    def ask_for_token(self, *, csrf: bool = True) -> TestResponse:
        return self.staff.post(f"{PATH}/token", csrf=csrf)

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        """Of the API, as the script does."""
        self.token = self.token or self.ask_for_token().get_json()["access_token"]
        return self.running.app.test_client().open(
            path, method=method, headers=bearer(self.token), base_url=BASE, **options
        )

    def send(self, content: str = "hello", **fields: Any) -> dict[str, Any]:
        answer = self.call("POST", MESSAGES, json={"content": content, **fields})
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def shown(self, path: str) -> TestResponse:
        """What the script asks the page's own routes for."""
        headers = {**FROM_A_PAGE_OF_OURS, "Accept": "*/*"}
        return self.staff.client.get(f"{PATH}{path}", base_url=BASE, headers=headers)


@pytest.fixture
def visitor(running: RunningChat) -> Visitor:
    return new_visitor(running)


def new_visitor(running: RunningChat, tier: Tier = Tier.TEAM) -> Visitor:
    staff = Dashboard(running.app).customer()
    given = running.app.test_cli_runner().invoke(args=["users", "set-tier", staff.email, tier.value])
    assert given.exit_code == 0, given.output
    return Visitor(running, staff)
