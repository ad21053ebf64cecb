"""Several commands of the application in one process, as `make run` gives them."""

import os

import pytest

from sandbox.cannot_start import CannotStart
from sandbox.flask_commands import FlaskCommands
from tests.whole.environment import production_environment

NOWHERE = "postgresql://mirroros:secret@127.0.0.1:1/mirroros"


@pytest.mark.slow
def test_one_that_is_refused_says_why_and_the_next_one_is_done() -> None:
    with FlaskCommands({**os.environ, **production_environment(NOWHERE, "https://predict.example.com")}) as flask:
        refused = flask("nonsense")
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "No such command 'nonsense'" in refused.stderr
        done = flask("users", "--help")
        assert done.exit_code == 0
        assert "create-admin" in done.stdout


@pytest.mark.slow
def test_where_no_application_can_be_made_the_settings_are_named() -> None:
    environ = {
        **os.environ,
        **production_environment(NOWHERE, "https://predict.example.com"),
        "DATABASE_URL": "nonsense",
    }
    with FlaskCommands(environ) as flask, pytest.raises(CannotStart, match="DATABASE_URL"):
        flask("users", "--help")
