"""`flask config`: the verdict on the settings without starting a server, and the documents that are made of them."""

import os
from textwrap import wrap

import click
from pydantic import SecretStr

from admin.check_production.variables import Judgement
from capabilities import CAPABILITIES
from config import (
    Settings,
    SettingsInvalid,
    exit_for,
    load_settings,
    load_settings_or_exit,
    names_of_this_process,
    own_env_file,
    settings_with,
)
from metering.capability import Capabilities
from settings.check import remarks_on
from settings.environment import source_of, with_names_of_today
from settings.redact import without_secrets
from settings.section import Environment, Section, own_fields, sections_of
from settings.types import SecretUrl


def judged_for_production() -> Judgement:
    """The variables of this process, as production would take them."""
    try:
        settings = _settings_for(Environment.PRODUCTION)
    except SettingsInvalid as refusal:
        return Judgement(problems=refusal.problems)
    return Judgement(remarks=(*remarks_on(settings), *names_of_this_process().remarks))


def _settings_for(environment: str) -> Settings:
    """Whatever name the environment has been set by. Raises SettingsInvalid."""
    return load_settings({**with_names_of_today(os.environ).environ, "FLASK_ENV": environment})


@click.group("config")
def config_commands() -> None:
    """Check and print the settings."""


@config_commands.command("check")
@click.option(
    "--for",
    "environment",
    type=click.Choice([str(environment) for environment in Environment]),
    help="Check the variables as this environment would, without changing FLASK_ENV.",
)
def check(environment: str | None) -> None:
    """Check the settings, and give warnings."""
    try:
        settings = _settings_for(environment) if environment else load_settings()
    except SettingsInvalid as refusal:
        exit_for(refusal)
    click.echo(f"The settings are valid for {settings.flask_env}.")
    for remark in (*remarks_on(settings), *names_of_this_process().remarks):
        click.echo(f"  note: {remark}")


@config_commands.command("show")
def show() -> None:
    """Print every setting, where it comes from, and its section. Secrets are only shown as set or not set."""
    settings = load_settings_or_exit()
    env_file, texts = own_env_file(os.environ), shown(settings)
    for section in sections_of(type(settings)):
        click.echo(f"# {section.title}")
        for name in (field.upper() for field in own_fields(section)):
            click.echo(f"{name}={texts[name]}  ({source_of(name, os.environ, env_file)})")


@config_commands.command("document")
def document() -> None:
    """Print the table of settings in docs/configuration.md."""
    click.echo(settings_table())


@config_commands.command("example")
def example() -> None:
    """Print `.env.example`."""
    click.echo(env_example(), nl=False)


def settings_table(capabilities: Capabilities = CAPABILITIES) -> str:
    """One row per variable, made from the fields themselves."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in settings_with(capabilities).model_fields.items():
        default = "" if field.is_required() or not _shown(field.default) else f"`{_shown(field.default)}`"
        rows.append(f"| `{name.upper()}` | {default} | {' '.join(str(field.description).split())} |")
    return "\n".join(rows)


EXAMPLE_BEGINS = """\
# `flask config example` prints this file. Copy it to `.env`. The values work on a developer's machine. Staging and production
# refuse the example secrets. Create your own with: python -c "import secrets; print(secrets.token_urlsafe(48))"
# You can also set any variable as NAME_FILE, the path of a file that contains the value (mounted secrets).
# Lines that begin with # show the default or an example. docs/configuration.md explains all variables.
"""
EXAMPLE_ENDS = """
# --- docker-compose ------------------------------------------------------------------------------------------------

# The password of the database that docker-compose starts.
POSTGRES_PASSWORD=development-only-password
# The password of the Redis that docker-compose.prod.yaml starts.
# REDIS_PASSWORD=development-only-redis-password
# :80 on a developer's machine, the domain name on a host. Caddy then gets the certificate.
# SITE_ADDRESS=:80
# The machine's port for http. Use 80 on a host.
# PROXY_HTTP_PORT=8000
# The machine's port for https. Use 443 on a host.
# PROXY_HTTPS_PORT=8443
"""


def env_example(capabilities: Capabilities = CAPABILITIES) -> str:
    """Every variable, by section, with its meaning and an example."""
    sections = sections_of(settings_with(capabilities))
    return EXAMPLE_BEGINS + "".join(map(_example_of, sections)) + EXAMPLE_ENDS


def _example_of(section: type[Section]) -> str:
    lines = ["", f"# --- {section.title} ".ljust(117, "-"), ""]
    for name in own_fields(section):
        field = section.model_fields[name]
        default = "" if field.is_required() else _shown(field.default)
        lines += (
            *wrap(str(field.description), 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False),
            f"{'' if name in section.in_example else '# '}{name.upper()}={(field.examples or [default])[0]}",
        )
    return "\n".join(lines) + "\n"


def shown(settings: Section) -> dict[str, str]:
    """Variable to text that may be printed."""
    return {name.upper(): _shown(getattr(settings, name)) for name in type(settings).model_fields}


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, SecretUrl):
        return without_secrets(value.get_secret_value()) or "(set)"
    if isinstance(value, SecretStr):
        return "(set)"
    if isinstance(value, frozenset):
        return ",".join(sorted(map(str, value)))
    text = str(value)
    return (without_secrets(text) or "(set)") if "://" in text else text
