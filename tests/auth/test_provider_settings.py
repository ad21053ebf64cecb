"""What Sign in with Apple and Google need from the settings, and what a server refuses to start with."""

from typing import Any

import pytest

from auth.apple_tokens.client import apple_tokens_of
from config import Settings, SettingsInvalid, load_settings
from database.base import utc_now
from sandbox.apple_server.sold_app import ServerApiKey
from sandbox.identity_server.server import IdentityServer
from settings.check import remarks_on
from tests.whole.environment import production_environment

NOWHERE = "postgresql://mirroros@127.0.0.1:1/mirroros"
APP = {"APPLE_CLIENT_IDS": "com.example.app"}
KEY = {
    "APPLE_SIGN_IN_KEY_ID": "ABCDE12345",
    "APPLE_SIGN_IN_TEAM_ID": "TEAM123456",
    "APPLE_SIGN_IN_PRIVATE_KEY": ServerApiKey().p8.decode(),
}


def settings(**changes: str) -> Settings:
    return load_settings({**production_environment(NOWHERE, "https://predict.example.com"), **changes})


def problems(**changes: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as refusal:
        settings(**changes)
    return sorted(problem.partition(" ")[0] for problem in refusal.value.problems)


def test_with_the_three_apple_is_asked_and_without_them_it_is_not() -> None:
    assert apple_tokens_of(settings(), utc_now) is None
    assert apple_tokens_of(settings(**APP), utc_now) is None
    tokens = apple_tokens_of(settings(**APP, **KEY), utc_now)
    assert tokens is not None
    assert (tokens.base_url, tokens.team_id) == ("https://appleid.apple.com", "TEAM123456")
    assert "PRIVATE KEY" not in repr(tokens)


@pytest.mark.parametrize("given", [{name} for name in KEY] + [set(KEY) - {name} for name in KEY], ids=sorted)
def test_all_three_or_none_and_the_missing_ones_are_named(given: set[str]) -> None:
    part = {name: KEY[name] for name in given}
    assert problems(**APP, **part) == sorted(KEY.keys() - given)


def test_a_key_without_an_app_is_for_nothing() -> None:
    assert problems(**KEY) == ["APPLE_CLIENT_IDS"]


@pytest.mark.parametrize(
    "changes",
    [
        {"APPLE_SIGN_IN_KEY_ID": "short"},
        {"APPLE_SIGN_IN_TEAM_ID": "com.example.app"},
        {"APPLE_SIGN_IN_PRIVATE_KEY": "no key"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_cannot_be_used_is_refused_without_being_shown(changes: dict[str, str]) -> None:
    ((name, value),) = changes.items()
    with pytest.raises(SettingsInvalid) as refusal:
        settings(**{**APP, **KEY, **changes})
    assert name in str(refusal.value)
    assert value not in str(refusal.value)


def test_outside_development_nobody_else_is_taken_for_apple_or_google() -> None:
    stand_in = IdentityServer()
    stand_in.start()
    given: dict[str, Any] = {**stand_in.apple_settings, **stand_in.google_settings}
    stand_in.stop()
    assert problems(**given) == ["APPLE_KEYS_URL", "APPLE_SIGN_IN_URL", "GOOGLE_KEYS_URL"]
    assert settings(**given, FLASK_ENV="development").apple_sign_in_url == given["APPLE_SIGN_IN_URL"]


def test_an_operator_is_told_what_the_app_store_demands() -> None:
    told = [remark for remark in remarks_on(settings(**APP)) if remark.startswith("APPLE_SIGN_IN_PRIVATE_KEY")]
    assert len(told) == 1
    assert not [remark for remark in remarks_on(settings(**APP, **KEY)) if "APPLE_SIGN_IN" in remark]
