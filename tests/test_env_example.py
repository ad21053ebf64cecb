"""`.env.example` explains every variable, and only variables that exist."""

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from capabilities import CAPABILITIES
from check_settings import env_example
from config import SettingsInvalid, load_settings, settings_with

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / ".env.example"
FOR_COMPOSE_ALONE = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "SITE_ADDRESS", "PROXY_HTTP_PORT", "PROXY_HTTPS_PORT"}


def lines() -> list[str]:
    return EXAMPLE.read_text(encoding="utf-8").splitlines()


def explained() -> list[str]:
    return [found[1] for line in lines() if (found := re.match(r"(?:# )?([A-Z][A-Z0-9_]+)=", line))]


def test_the_example_is_made_of_the_settings() -> None:
    assert EXAMPLE.read_text(encoding="utf-8") == env_example(), "run `flask config example > .env.example`"


def test_every_setting_stands_in_the_example_once() -> None:
    assert sorted(explained()) == sorted(
        {name.upper() for name in settings_with(CAPABILITIES).model_fields} | FOR_COMPOSE_ALONE
    )


def test_every_variable_of_the_example_has_an_explanation_above_it() -> None:
    for number, line in enumerate(lines()):
        if re.match(r"(# )?[A-Z][A-Z0-9_]+=", line):
            assert re.fullmatch(r"# (?![A-Z0-9_]+=).+", lines()[number - 1]), line


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.prod.yaml"])
def test_compose_reads_no_variable_that_the_example_does_not_explain(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{([A-Z0-9_]+)", text)) <= set(explained())


def test_a_copy_of_the_example_starts_a_development_server() -> None:
    assert load_settings({}, env_file=EXAMPLE).is_development


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_secrets_of_the_example_are_refused_outside_development(environment: str) -> None:
    values = {name: value for name, value in dotenv_values(EXAMPLE).items() if value is not None}
    with pytest.raises(SettingsInvalid) as refusal:
        load_settings({**values, "FLASK_ENV": environment})
    named = {problem.split()[0] for problem in refusal.value.problems}
    assert {"SECRET_KEY", "PRIVATE_API_SECRET"} <= named
