"""What the settings accept, and what a server refuses to start with."""

import base64
import re
import secrets
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner
from pydantic import SecretStr, ValidationError

from admin.assembled import ASSEMBLED, Assembled
from app import assemble
from auth.assembly import AuthSettings
from auth.sessions.lifetimes import SessionLifetimes
from auth.tiers import Tier
from auth.tokens.access_keys import new_key
from capabilities import CAPABILITIES
from check_settings import config_commands, settings_table, shown
from config import EX_CONFIG, PLANS, SettingsInvalid, load_settings, load_settings_or_exit, plan_table, settings_with
from gateway.plan_limits import ENHANCED_GROUNDING, PlanLimits
from gateway.settings import PredictSection, ResponseVerification
from security.secrets.derived_key import derived_key
from settings.check import remarks_on
from settings.environment import source_of
from settings.private_hosts import is_private_host
from settings.redact import Redactor, without_secrets
from settings.secret_strength import weakness_of
from settings.section import Environment, own_fields, sections_of
from settings.types import SecretUrl

Environ = dict[str, str]
ROOT = Path(__file__).parents[1]


def everything_on() -> Environ:
    on = ",".join(each.name for each in CAPABILITIES)
    keys = {
        "OPENAI_API_KEY": f"sk-proj-{secrets.token_hex(20)}",
        "STRIPE_SECRET_KEY": f"sk_live_{secrets.token_hex(20)}",
        "STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(20)}",
    }
    return production(CAPABILITIES=on, **keys)


def production(**changes: str | None) -> Environ:
    """A complete production environment; None takes a variable away."""
    environ: dict[str, str | None] = {
        "FLASK_ENV": "production",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "DATABASE_URL": "postgresql://mirroros@db.example.com/mirroros",
        "PUBLIC_BASE_URL": "https://api.example.com",
        "PRIVATE_API_URL": "https://predict.example.com",
        "PRIVATE_API_SECRET": secrets.token_urlsafe(48),
        "EMAIL_HOST": "smtp.example.com",
        "DEFAULT_FROM_EMAIL": "MirrorOS <no-reply@example.com>",
        **changes,
    }
    return {name: value for name, value in environ.items() if value is not None}


def problems_of(environ: Environ) -> dict[str, str]:
    with pytest.raises(SettingsInvalid) as refusal:
        load_settings(environ)
    named = (problem.partition(" ") for problem in refusal.value.problems)
    return {name: reason for name, _, reason in named}


def test_development_works_with_nothing_set() -> None:
    settings = load_settings({})
    assert settings.is_development
    assert settings.database_url is None
    assert settings.registration_response == "classic"
    assert settings.accepted_hosts == frozenset()
    assert not settings.require_https


@pytest.mark.parametrize(("environment", "level"), [("staging", "DEBUG"), ("production", "INFO")])
def test_staging_is_production_with_more_in_its_log(environment: str, level: str) -> None:
    settings = load_settings(production(FLASK_ENV=environment))
    assert (settings.log_level, settings.require_https, settings.is_development) == (level, True, False)
    assert load_settings(production(FLASK_ENV=environment, LOG_LEVEL="warning")).log_level == "WARNING"


def test_development_secrets_differ_from_one_start_to_the_next() -> None:
    assert load_settings({}).secret_key != load_settings({}).secret_key


def test_a_complete_production_environment_is_accepted_without_redis() -> None:
    settings = load_settings(production())
    assert settings.flask_env is Environment.PRODUCTION
    assert settings.redis_url is None
    assert settings.registration_response == "private"
    assert settings.require_https


def test_settings_cannot_be_changed_after_the_start() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings({}).port = 1  # type: ignore[misc]


def test_all_problems_are_reported_at_once_and_no_value_is_shown() -> None:
    canary = secrets.token_urlsafe(6)
    environ = {
        "FLASK_ENV": "production",
        "SECRET_KEY": canary,
        "PORT": canary,
        "CORS_ORIGINS": f"{canary},*",
        "DATABASE_URL": f"mysql://{canary}",
        "REDIS_URL": canary,
        "BCRYPT_COST": "4",
        "LOG_LEVEL": canary,
        "PRIVATE_API_URL": f"http://{canary}.example.com",
        "PRIVATE_API_VERIFY_RESPONSE": "off",
        "PRIVATE_API_KEYS": canary,
        "STRIPE_SECRET_KEY": canary,
        "APPLE_SHARED_SECRET": canary,
        "TRUSTED_HOSTS": f"https://{canary}",
    }
    with pytest.raises(SettingsInvalid) as refusal:
        load_settings(environ)
    named = {problem.partition(" ")[0] for problem in refusal.value.problems}
    assert named == {*environ, "PUBLIC_BASE_URL", "EMAIL_HOST"} - {"FLASK_ENV"}
    assert canary not in str(refusal.value)


def test_production_with_nothing_set_lists_all_that_it_needs() -> None:
    needed = {"SECRET_KEY", "DATABASE_URL", "EMAIL_HOST", "PUBLIC_BASE_URL", "PRIVATE_API_URL", "PRIVATE_API_SECRET"}
    assert problems_of({"FLASK_ENV": "production"}).keys() == needed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLASK_ENV", "prod"),
        ("FLASK_DEBUG", "perhaps"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PUBLIC_BASE_URL", "api.example.com"),
        ("PUBLIC_BASE_URL", "https://api.example.com/v1"),
        ("PUBLIC_BASE_URL", "https://alice@api.example.com"),
        ("TRUSTED_HOSTS", "api.example.com:443"),
        ("TRUSTED_PROXY_HOPS", "-1"),
        ("CORS_ORIGINS", "app.example.com"),
        ("CORS_ORIGINS", "https://app.example.com/"),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "capacitor://"),
        ("CORS_ORIGINS", "capacitor://localhost/path"),
        ("CORS_ORIGINS", "javascript://app.example.com"),
        ("CORS_ORIGINS", "file://localhost"),
        ("CHECKOUT_ORIGINS", "javascript://app.example.com"),
        ("CHECKOUT_ORIGINS", "data://x"),
        ("CHECKOUT_ORIGINS", "*"),
        ("PASSKEY_ORIGINS", "capacitor://localhost"),
        ("DATABASE_URL", "sqlite:///app.db"),
        ("DATABASE_URL", "postgresql://"),
        ("REDIS_URL", "http://redis"),
        ("PRIVATE_API_URL", "ftp://predict.example.com"),
        ("PRIVATE_API_URL", "https://predict.example.com:port"),
        ("PRIVATE_API_PATH", "predict"),
        ("PRIVATE_API_PATH", "/predict?x=1"),
        ("PRIVATE_API_TIMEOUT", "0"),
        ("PRIVATE_API_TIMEOUT", "nan"),
        ("PRIVATE_API_VERIFY_RESPONSE", "sometimes"),
        ("PRIVATE_API_SECRET", "short"),
        ("PRIVATE_API_SECRET", "msk_!"),
        ("JWT_SECRET_KEY", "short"),
        ("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", "0"),
        ("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", "1441"),
        ("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", "9" * 5000),
        ("JWT_SHORT_REFRESH_EXPIRE_MINUTES", "0"),
        ("JWT_SHORT_REFRESH_EXPIRE_MINUTES", "14"),
        ("JWT_SHORT_REFRESH_EXPIRE_MINUTES", "10081"),
        ("JWT_REFRESH_TOKEN_EXPIRE_DAYS", "0"),
        ("JWT_REFRESH_TOKEN_EXPIRE_DAYS", "91"),
        ("JWT_ALGORITHM", "none"),
        ("JWT_ALGORITHM", "RS256"),
        ("JWT_ALGORITHM", "HS512"),
        ("JWT_ALGORITHM", "ES256"),
        ("BCRYPT_COST", "3"),
        ("REQUEST_LOG_DAYS", "30"),
        ("REGISTRATION_RESPONSE", "open"),
        ("WEB_CONCURRENCY", "0"),
        ("WEB_THREADS", "many"),
        ("LOG_LEVEL", "LOUD"),
        ("SENTRY_DSN", "key"),
        ("EMAIL_HOST", "smtp.example.com:587"),
        ("EMAIL_PORT", "0"),
        ("DEFAULT_FROM_EMAIL", "MirrorOS"),
        ("DEFAULT_FROM_EMAIL", "MirrorOS <no-reply@example.com>, bob@example.com"),
        ("STRIPE_SECRET_KEY", "pk_test_1"),
        ("STRIPE_WEBHOOK_SECRET", "secret"),
        ("APPLE_SHARED_SECRET", "xyz"),
    ],
)
def test_a_value_of_the_wrong_form_is_refused_in_every_environment(name: str, value: str) -> None:
    assert name in problems_of({name: value})
    assert name in problems_of(production(**{name: value}))


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "DATABASE_URL", "PUBLIC_BASE_URL", "PRIVATE_API_URL", "PRIVATE_API_SECRET"]
)
@pytest.mark.parametrize("environment", ["staging", "production"])
def test_staging_and_production_refuse_to_start_without(name: str, environment: str) -> None:
    assert problems_of(production(**{name: None, "FLASK_ENV": environment})).keys() == {name}


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_variable_counts_as_not_set(empty: str) -> None:
    assert problems_of(production(SECRET_KEY=empty)) == {"SECRET_KEY": "must be set"}
    assert load_settings(production(REDIS_URL=empty)).redis_url is None


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"FLASK_DEBUG": "1"}, "FLASK_DEBUG"),
        ({"PUBLIC_BASE_URL": "http://api.example.com"}, "PUBLIC_BASE_URL"),
        ({"BCRYPT_COST": "9"}, "BCRYPT_COST"),
        ({"PRIVATE_API_URL": "http://predict.example.com"}, "PRIVATE_API_URL"),
        ({"PRIVATE_API_URL": "http://134744072"}, "PRIVATE_API_URL"),
        ({"PRIVATE_API_URL": "http://169.254.169.254"}, "PRIVATE_API_URL"),
        ({"EMAIL_FOLDER": "/data/mail"}, "EMAIL_FOLDER"),
        ({"MAIL_BOX_URL": "http://127.0.0.1:8025"}, "MAIL_BOX_URL"),
        ({"EMAIL_HOST": "smtp.example.com", "EMAIL_USE_TLS": "0"}, "EMAIL_USE_TLS"),
        ({"DEFAULT_FROM_EMAIL": ""}, "DEFAULT_FROM_EMAIL"),
        (
            {"PRIVATE_API_URL": "http://10.0.0.7:9000", "PRIVATE_API_VERIFY_RESPONSE": "if_present"},
            "PRIVATE_API_VERIFY_RESPONSE",
        ),
    ],
)
def test_what_a_developer_may_have_production_refuses(changes: Environ, name: str) -> None:
    assert problems_of(production(**changes)).keys() == {name}
    load_settings(changes)


def test_the_lifetimes_of_sessions_are_those_of_the_settings() -> None:
    usual = lifetimes_of(production())
    assert usual == AuthSettings(issuer="x").sessions
    assert (usual.idle, usual.remembered_idle) == (timedelta(minutes=60), timedelta(days=30))
    chosen = production(JWT_SHORT_REFRESH_EXPIRE_MINUTES="30", JWT_REFRESH_TOKEN_EXPIRE_DAYS="7")
    assert lifetimes_of(chosen) == SessionLifetimes(idle=timedelta(minutes=30), remembered_idle=timedelta(days=7))


def lifetimes_of(environ: Environ) -> SessionLifetimes:
    app = assemble(load_settings(environ))
    assembled: Assembled = app.extensions[ASSEMBLED]
    return assembled.auth.settings.sessions


def test_an_access_token_may_live_a_day_which_is_remarked_on() -> None:
    settings = load_settings(production(JWT_ACCESS_TOKEN_EXPIRE_MINUTES="1440"))
    assert (settings.jwt_access_token_expire_minutes, settings.jwt_short_refresh_expire_minutes) == (1440, 2880)
    assert [each for each in remarks_on(settings) if each.startswith("JWT_ACCESS_TOKEN_EXPIRE_MINUTES is 1440: ")]
    for minutes in ("15", "60"):
        quiet = load_settings(production(JWT_ACCESS_TOKEN_EXPIRE_MINUTES=minutes))
        assert not [each for each in remarks_on(quiet) if "JWT_ACCESS" in each]


def test_the_algorithm_is_that_of_the_key_that_signs() -> None:
    es256 = new_key("k1", "ES256").text()
    for key, algorithm in ((None, "hs256"), (None, "HS256"), (es256, "ES256"), (es256, None)):
        load_settings(production(JWT_KEYS=key, JWT_ALGORITHM=algorithm))
    assert problems_of(production(JWT_KEYS=es256, JWT_ALGORITHM="HS256")) == {
        "JWT_ALGORITHM": "must be ES256 or not set, because the first key of JWT_KEYS is for ES256"
    }
    assert problems_of(production(ALGORITHM="ES256")) == {
        "ALGORITHM": "can only be HS256 without JWT_KEYS; to change it, run `flask keys rotate --algorithm ES256`"
    }
    assert problems_of(production(ALGORITHM="RS256")) == {
        "ALGORITHM": "is not valid: input should be 'HS256' or 'ES256'"
    }


def test_a_private_registration_needs_a_mail_server() -> None:
    without = production(EMAIL_HOST=None, DEFAULT_FROM_EMAIL=None)
    assert problems_of(without).keys() == {"EMAIL_HOST"}
    assert load_settings({**without, "REGISTRATION_RESPONSE": "classic"}).email_host is None


def test_a_mail_server_on_a_private_network_needs_no_tls() -> None:
    settings = load_settings(production(EMAIL_HOST="mail.internal", EMAIL_USE_TLS="0"))
    assert not settings.email_use_tls


def test_in_development_letters_become_files() -> None:
    assert load_settings({}).email_folder == Path(".data/mail")


@pytest.mark.parametrize(
    "weak",
    [
        "short",
        "a" * 64,
        "abcdefgh" * 8,
        "development-only-master-secret-change-me-0b7f",
        "Your-Secret-Key-Goes-Here-And-Is-Long-Enough-9x",
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_a_weak_secret_is_refused_in_production(weak: str) -> None:
    assert problems_of(production(SECRET_KEY=weak)).keys() == {"SECRET_KEY"}


def test_random_secrets_are_never_called_weak() -> None:
    for _ in range(500):
        assert weakness_of(secrets.token_hex(32)) is None
        assert weakness_of(secrets.token_urlsafe(32)) is None


@pytest.mark.parametrize("name", ["JWT_SECRET_KEY", "REFRESH_TOKEN_KEY", "PASSWORD_PEPPER", "PRIVATE_API_SECRET"])
def test_equal_secrets_are_refused_in_production(name: str) -> None:
    same = secrets.token_urlsafe(48)
    assert problems_of(production(**{"SECRET_KEY": same, name: same})).keys() == {name}


def test_a_key_of_the_ring_that_equals_the_master_secret_is_refused() -> None:
    same = secrets.token_urlsafe(48)
    same = f"msk_{base64.b64encode(secrets.token_bytes(48)).decode()}"
    ring = f"k2:msk_{base64.b64encode(secrets.token_bytes(48)).decode()},k1:{same}"
    changes = {"SECRET_KEY": same, "PRIVATE_API_SECRET": None, "PRIVATE_API_KEYS": ring}
    assert problems_of(production(**changes)) == {
        "PRIVATE_API_KEYS": "(k1) is equal to SECRET_KEY; every secret needs its own value"
    }


def test_data_keys_are_judged_like_every_secret() -> None:
    same = secrets.token_urlsafe(48)
    assert problems_of(production(SECRET_KEY=same, DATA_KEYS=f"d1:{same}")).keys() == {"DATA_KEYS"}
    assert problems_of(production(DATA_KEYS="d1:" + "a" * 40)).keys() == {"DATA_KEYS"}
    assert problems_of(production(DATA_KEYS="no ring")).keys() == {"DATA_KEYS"}
    assert problems_of(production(DATA_KEYS=f"0:{secrets.token_urlsafe(48)}")).keys() == {"DATA_KEYS"}


def test_the_first_data_key_is_the_current_one_and_the_derived_one_stays() -> None:
    keys = f"d2:{secrets.token_urlsafe(48)},d1:{secrets.token_urlsafe(48)}"
    assert list(load_settings(production(DATA_KEYS=keys)).data_key_ring) == ["d2", "d1", "0"]
    assert list(load_settings(production()).data_key_ring) == ["0"]


def test_passkeys_are_by_default_for_the_api_and_the_web_apps_below_it() -> None:
    settings = load_settings(
        production(PUBLIC_BASE_URL="https://api.example.com", CORS_ORIGINS="https://app.example.com")
    )
    assert settings.passkey_domain == "api.example.com"
    assert settings.accepted_passkey_origins == {"https://api.example.com", "https://app.example.com"}


def test_passkeys_can_be_for_the_domain_above_and_for_named_apps_alone() -> None:
    android = "android:apk-key-hash:" + "A" * 43
    settings = load_settings(
        production(PASSKEY_RP_ID="Example.com", PASSKEY_ORIGINS=f"https://app.example.com, {android}")
    )
    assert settings.passkey_domain == "example.com"
    assert settings.accepted_passkey_origins == {"https://app.example.com", android}
    widened = load_settings(production(PASSKEY_RP_ID="example.com", PUBLIC_BASE_URL="https://api.example.com"))
    assert "https://example.com" in widened.accepted_passkey_origins


@pytest.mark.parametrize(
    "origins", ["*", "example.com", "https://example.com/path", "http://example.com", "android:apk-key-hash:short"]
)
def test_an_origin_that_no_passkey_should_trust_is_refused_in_production(origins: str) -> None:
    assert problems_of(production(PASSKEY_ORIGINS=origins)).keys() == {"PASSKEY_ORIGINS"}


def test_one_secret_and_a_key_ring_together_are_refused() -> None:
    assert "PRIVATE_API_KEYS" in problems_of(production(PRIVATE_API_KEYS=f"k1:{secrets.token_urlsafe(48)}"))


def test_each_product_that_is_on_brings_threads_of_its_own() -> None:
    on = {"CAPABILITIES": "predict,solve"}
    alone, both = load_settings({"CAPABILITIES": "predict"}), load_settings(on)
    assert (alone.web_threads, both.web_threads) == (600, 632)
    assert load_settings({**on, "SOLVE_MAX_IN_FLIGHT": "8"}).web_threads == 608
    assert load_settings({**on, "WEB_THREADS": "100"}).web_threads == 100


def test_a_product_may_not_take_every_thread() -> None:
    told = problems_of({"CAPABILITIES": "predict,solve", "WEB_THREADS": "32", "SOLVE_MAX_IN_FLIGHT": "32"})
    assert "SOLVE_MAX_IN_FLIGHT" in told


def test_more_predictions_in_flight_than_threads_are_refused() -> None:
    assert "PREDICT_MAX_IN_FLIGHT" in problems_of({"WEB_THREADS": "8", "PREDICT_MAX_IN_FLIGHT": "8"})


@pytest.mark.parametrize(("threads", "in_flight"), [("600", 525), ("8", 7), ("4", 3)])
def test_predictions_leave_threads_free_for_other_requests(threads: str, in_flight: int) -> None:
    settings = load_settings({"WEB_THREADS": threads})
    assert isinstance(settings, PredictSection)
    assert settings.predict_max_in_flight == in_flight


@pytest.mark.parametrize(
    ("url", "verification"),
    [
        ("https://predict.example.com", ResponseVerification.IF_PRESENT),
        ("http://private-server:9000", ResponseVerification.REQUIRED),
        ("http://predict.railway.internal:9000", ResponseVerification.REQUIRED),
    ],
)
def test_answers_over_plain_http_must_be_signed(url: str, verification: ResponseVerification) -> None:
    settings = load_settings(production(PRIVATE_API_URL=url))
    assert isinstance(settings, PredictSection)
    assert settings.private_api_verify_response is verification


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "fd12::1", "localhost", "web", "a.internal"]
)
def test_private_hosts_are_recognised(host: str) -> None:
    assert is_private_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "8.8.8.8",
        "2001:4860:4860::8888",
        "0.0.0.0",  # noqa: S104
        "example.com",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "metadata.google.internal",
        "metadata",
        "224.0.0.1",
        "0x8080808",
        "internal.example.com",
        "",
    ],
)
def test_public_hosts_are_not_taken_for_private(host: str) -> None:
    assert not is_private_host(host)


@pytest.mark.parametrize("marker", ["RAILWAY_ENVIRONMENT", "DYNO"])
def test_a_platform_counts_as_production_and_as_one_proxy(marker: str) -> None:
    environ = production(FLASK_ENV=None, **{marker: "web.1"})
    settings = load_settings(environ)
    assert settings.flask_env is Environment.PRODUCTION
    assert settings.trusted_proxy_hops == 1


def test_railways_domain_is_the_default_address() -> None:
    environ = production(
        PUBLIC_BASE_URL=None, RAILWAY_ENVIRONMENT="production", RAILWAY_PUBLIC_DOMAIN="api.up.railway.app"
    )
    settings = load_settings(environ)
    assert settings.public_base_url == "https://api.up.railway.app"
    assert settings.accepted_hosts == {
        "api.up.railway.app",
        "127.0.0.1",
        "localhost",
        "healthcheck.railway.app",
    }


def test_herokus_self_signed_redis_certificate_is_not_checked() -> None:
    url = "rediss://:secret@redis.example.com:6380"
    on_heroku = load_settings(production(DYNO="web.1", REDIS_URL=url)).redis_url
    elsewhere = load_settings(production(REDIS_URL=url)).redis_url
    assert on_heroku is not None and on_heroku.get_secret_value() == f"{url}?ssl_cert_reqs=none"
    assert elsewhere is not None and elsewhere.get_secret_value() == url


def test_lists_are_separated_by_commas_and_origins_take_the_browsers_form() -> None:
    settings = load_settings(
        {"CORS_ORIGINS": "https://App.Example.com:443, http://localhost:5173,", "TRUSTED_HOSTS": "A.example"}
    )
    assert settings.cors_origins == {"https://app.example.com", "http://localhost:5173"}
    assert "a.example" in settings.accepted_hosts


def test_hybrid_apps_have_origins_of_their_own() -> None:
    settings = load_settings(
        production(
            CORS_ORIGINS="https://app.example.com,capacitor://localhost, ionic://localhost",
            CHECKOUT_ORIGINS="https://app.example.com,MirrorOS://checkout",
        )
    )
    assert settings.cors_origins == {"https://app.example.com", "capacitor://localhost", "ionic://localhost"}
    assert settings.redirect_origins == {"https://app.example.com", "mirroros://checkout"}
    assert settings.web_origins == {"https://app.example.com"}
    assert settings.accepted_passkey_origins == {"https://api.example.com", "https://app.example.com"}


def test_in_development_web_apps_may_be_opened_by_name_or_address() -> None:
    assert load_settings({}).cors_origins == {
        f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in (3000, 5173)
    }


def test_what_the_settings_accept_can_be_put_together(tmp_path: Path) -> None:
    """Each of these stopped a process that had been told that its settings were acceptable."""
    (tmp_path / "words").write_text("password\n", encoding="utf-8")
    unusable = {
        "PRIVATE_API_KEYS": f"k1:{secrets.token_urlsafe(48)}",
        "PWNED_PASSWORDS_FILE": str(tmp_path / "words"),
        "SENTRY_DSN": "https://errors.example.com/1",
        "CORS_ORIGINS": "*",
    }
    for name, value in unusable.items():
        changes = {"PRIVATE_API_SECRET": None} if name == "PRIVATE_API_KEYS" else {}
        assert problems_of(production(**changes, **{name: value})).keys() == {name}
    assert problems_of(production(PRIVATE_API_SECRET=None, **unusable)).keys() == set(unusable)
    assert problems_of(unusable).keys() == set(unusable)


def test_checking_the_settings_loads_no_client_of_a_server() -> None:
    """The web server's master process does it, and would hold them for nothing."""
    script = "import sys, config; print({'flask', 'sqlalchemy', 'redis', 'psycopg2', 'sentry_sdk', 'aiohttp'} & set(sys.modules))"
    asked = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert asked.stdout == "set()\n"


@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_value_in_quotation_marks_is_noticed(quote: str) -> None:
    """`docker --env-file` keeps them, and then they are part of the value."""
    quoted = {name: f"{quote}{value}{quote}" for name, value in production().items() if name != "FLASK_ENV"}
    problems = problems_of({**quoted, "FLASK_ENV": "production"})
    assert problems.keys() == set(quoted)
    assert set(problems.values()) == {"is in quotation marks, which would be part of the value; remove them"}
    sender = '"Mirror OS, Inc." <no-reply@example.com>'
    assert "no-reply@example.com" in load_settings(production(DEFAULT_FROM_EMAIL=sender)).default_from_email


def test_the_env_file_may_quote_its_values(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('PORT="9001"\n', encoding="utf-8")
    assert load_settings({}, env_file=tmp_path / ".env").port == 9001


@pytest.mark.parametrize("around", ["{}\n", "\ufeff{}\r\n", " {}\u00a0", "{}\n\n"])
def test_a_pasted_secret_is_what_stands_between_the_blanks(tmp_path: Path, around: str) -> None:
    secret = secrets.token_urlsafe(48)
    (tmp_path / "secret").write_text(around.format(secret), encoding="utf-8")
    mounted = load_settings(production(SECRET_KEY=None, SECRET_KEY_FILE=str(tmp_path / "secret")))
    pasted = load_settings(production(SECRET_KEY=around.format(secret)))
    assert [each.secret_key.get_secret_value() for each in (mounted, pasted)] == [secret, secret]


def test_a_secret_can_be_mounted_as_a_file(tmp_path: Path) -> None:
    secret = secrets.token_urlsafe(48)
    (tmp_path / "secret").write_text(f"{secret}\n", encoding="utf-8")
    settings = load_settings(production(SECRET_KEY=None, SECRET_KEY_FILE=str(tmp_path / "secret")))
    assert settings.secret_key.get_secret_value() == secret


def test_a_missing_secret_file_is_named_by_its_variable(tmp_path: Path) -> None:
    problems = problems_of(production(SECRET_KEY=None, SECRET_KEY_FILE=str(tmp_path / "none")))
    assert problems == {"SECRET_KEY": "could not be read from the file in SECRET_KEY_FILE"}


def test_a_variable_and_its_file_together_are_refused(tmp_path: Path) -> None:
    assert "SECRET_KEY" in problems_of(production(SECRET_KEY_FILE=str(tmp_path / "secret")))


def test_the_environment_wins_over_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=9001\nBCRYPT_COST=5\n", encoding="utf-8")
    settings = load_settings({"PORT": "9002"}, env_file=tmp_path / ".env")
    assert (settings.port, settings.bcrypt_cost) == (9002, 5)


def test_keys_are_derived_from_the_master_secret_and_differ() -> None:
    master = secrets.token_urlsafe(48)
    settings = load_settings(production(SECRET_KEY=master))
    assert settings.access_keys.text() == load_settings(production(SECRET_KEY=master)).access_keys.text()
    assert len({settings.access_keys.signing.material, settings.refresh_key, master.encode()}) == 3


def test_an_own_key_takes_the_place_of_the_derived_one() -> None:
    own = secrets.token_urlsafe(48)
    assert load_settings(production(JWT_SECRET_KEY=own)).access_keys.signing.material == own.encode()


def test_derivation_agrees_with_the_published_vector() -> None:
    """RFC 5869, A.3: SHA-256, no salt, no info."""
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    assert derived_key(b"\x0b" * 22, "").hex() == expected[:64]


def test_the_plan_table_has_every_tier() -> None:
    limits = {tier: table["predict"] for tier, table in plan_table(CAPABILITIES).items()}
    assert all(isinstance(row, PlanLimits) for row in limits.values())
    assert {tier: tuple(row.published().values()) for tier, row in limits.items()} == {
        Tier.FREE: (5, 10, 60, 2),
        Tier.PLUS: (25, 30, 60, 4),
        Tier.PRO: (100, 60, 60, 8),
        Tier.TEAM: (300, 120, 60, 16),
        Tier.ENTERPRISE: (None, 300, 60, 32),
    }
    assert [tier for tier in Tier if ENHANCED_GROUNDING in limits[tier].options] == [
        Tier.PRO,
        Tier.TEAM,
        Tier.ENTERPRISE,
    ]
    assert [PLANS[tier].requests_per_minute for tier in Tier] == [60, 150, 300, 1000, 5000]
    assert [PLANS[tier].account_calls_per_minute for tier in Tier] == [10, 15, 20, 50, 100]


def test_no_variable_stands_in_two_sections() -> None:
    names = [name for section in sections_of(settings_with(CAPABILITIES)) for name in own_fields(section)]
    assert sorted(names) == sorted(settings_with(CAPABILITIES).model_fields)


def test_settings_show_no_secret() -> None:
    environ = production(
        DATABASE_URL=f"postgresql://mirroros:{secrets.token_hex(8)}@db.example.com/mirroros",
        REDIS_URL=f"redis://:{secrets.token_hex(8)}@redis",
        STRIPE_SECRET_KEY=f"sk_live_{secrets.token_hex(8)}",
        STRIPE_WEBHOOK_SECRET=f"whsec_{secrets.token_hex(8)}",
        SENTRY_DSN=f"https://{secrets.token_hex(8)}@errors.example.com/1",
    )
    settings = load_settings(environ)
    text = repr(settings) + str(shown(settings)) + settings.model_dump_json()
    hidden = {
        "SECRET_KEY",
        "DATABASE_URL",
        "PRIVATE_API_SECRET",
        "REDIS_URL",
        "STRIPE_SECRET_KEY",
        "STRIPE_WEBHOOK_SECRET",
        "SENTRY_DSN",
    }
    assert [name for name in hidden if environ[name] in text] == []


def test_config_check_accepts_and_remarks(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, production())
    result = CliRunner().invoke(config_commands, ["check"])
    assert result.exit_code == 0
    assert "valid for production" in result.output
    assert "REDIS_URL is not set" in result.output
    assert "EMAIL_HOST is not set" not in result.output


def test_config_check_remarks_on_missing_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"EMAIL_HOST": None, "REGISTRATION_RESPONSE": "classic"}
    set_environment(monkeypatch, production(**changes))
    result = CliRunner().invoke(config_commands, ["check"])
    assert result.exit_code == 0
    assert "EMAIL_HOST is not set: users cannot confirm their address" in result.output


def test_config_check_judges_for_another_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, production(FLASK_ENV="development", PUBLIC_BASE_URL="http://localhost"))
    result = CliRunner().invoke(config_commands, ["check", "--for", "production"])
    assert result.exit_code == EX_CONFIG
    assert "PUBLIC_BASE_URL must begin with https://" in result.output


def test_config_show_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, {"FLASK_ENV": "production"})
    result = CliRunner().invoke(config_commands, ["show"])
    assert (result.exit_code, result.exception.__class__) == (EX_CONFIG, SystemExit)


def test_config_show_prints_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, everything_on())
    result = CliRunner().invoke(config_commands, ["show"])
    lines = result.output.splitlines()
    assert [line.partition("=")[0] for line in lines if not line.startswith("# ")] == [
        name.upper() for section in sections_of(settings_with(CAPABILITIES)) for name in own_fields(section)
    ]
    assert [line[2:] for line in lines if line.startswith("# ")] == [
        section.title for section in sections_of(settings_with(CAPABILITIES))
    ]
    assert "SECRET_KEY=(set)  (environment)" in lines
    assert "PORT=8000  (default)" in lines


def test_config_show_says_where_a_value_comes_from(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=8123\nLOG_LEVEL=DEBUG\nSENTRY_DSN_FILE=/run/secrets/dsn\n", encoding="utf-8")
    environ = {
        "LOG_LEVEL": "ERROR",
        "PORT": "8123",  # as Flask's own commands leave what they read from the file
        "REDIS_URL": " ",
        "SECRET_KEY_FILE": "/run/secrets/key",
    }
    names = ("PORT", "LOG_LEVEL", "SENTRY_DSN", "SECRET_KEY", "REDIS_URL")
    assert {name: source_of(name, environ, tmp_path / ".env") for name in names} == {
        "PORT": ".env",
        "LOG_LEVEL": "environment",
        "SENTRY_DSN": "file /run/secrets/dsn",
        "SECRET_KEY": "file /run/secrets/key",
        "REDIS_URL": "default",
    }
    assert source_of("PORT", environ, None) == "environment"


@pytest.mark.parametrize(
    ("url", "shown_as"),
    [
        (
            "postgresql://mirroros:{}@db/mirroros?sslmode=verify-full",
            "postgresql://mirroros:***@db/mirroros?sslmode=verify-full",
        ),
        (
            "postgresql://db/mirroros?user=mirroros&password={}&sslmode=require",
            "postgresql://db/mirroros?user=mirroros&password=***&sslmode=require",
        ),
        ("postgresql://mirroros@db/mirroros", "postgresql://mirroros@db/mirroros"),
        ("rediss://:{}@redis:6380/0", "rediss://:***@redis:6380/0"),
        ("https://{}@errors.example.com/1", "https://***@errors.example.com/1"),
        ("https://key:{}@errors.example.com/1", "https://***@errors.example.com/1"),
        ("postgresql://mirroros:@{}@db/mirroros", "postgresql://mirroros:***@db/mirroros"),
        ("postgresql://mirroros:12/{}@db/mirroros", None),
        ("postgresql://mirroros:12#{}@db/mirroros", None),
        ("postgresql://mirroros:12?{}@db/mirroros", None),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown_as: str | None) -> None:
    assert without_secrets(url.format(secrets.token_hex(8))) == shown_as


def test_whatever_could_be_a_secret_is_hidden_by_its_type() -> None:
    """Each field of a secret type gets a canary; each field whose name sounds like a secret is of such a type."""
    canary = secrets.token_hex(16)
    model = settings_with(CAPABILITIES)
    values: dict[str, object] = {}
    for name, field in model.model_fields.items():
        kind = next((each for each in (SecretUrl, SecretStr) if each.__name__ in str(field.annotation)), None)
        if kind is not None:
            values[name] = kind(f"redis://user:{canary}@redis/0" if kind is SecretUrl else canary)
        elif field.annotation in (str, str | None):
            values[name] = f"https://user:{canary}@example.com"
    text = "\n".join(shown(model.model_construct(**{**load_settings(everything_on()).model_dump(), **values})).values())
    assert len(values) > 20
    assert canary not in text
    sounding = {name for name in model.model_fields if re.search("secret|password|_key$|keys$|dsn|token", name)}
    harmless = {"api_key_default_days", "jwt_access_token_expire_minutes", "password_hasher", "pwned_passwords_file"}
    harmless |= {"jwt_refresh_token_expire_days", "solve_max_output_tokens"}
    assert {name for name in sounding - harmless if not isinstance(values.get(name), SecretStr)} == set()


def test_a_text_is_freed_of_every_secret_in_it() -> None:
    environ = production(
        DATABASE_URL=f"postgresql://mirroros:{secrets.token_hex(8)}%2F@db.example.com/mirroros",
        STRIPE_SECRET_KEY=f"sk_live_{secrets.token_hex(8)}",
        STRIPE_WEBHOOK_SECRET=f"whsec_{secrets.token_hex(8)},whsec_{secrets.token_hex(8)}",
        SENTRY_DSN=f"https://{secrets.token_hex(8)}@errors.example.com/1",
    )
    redact = Redactor.of(load_settings(environ))
    password = environ["DATABASE_URL"].partition("@")[0].rpartition(":")[2]
    told = [
        environ["SECRET_KEY"],
        password,
        unquote(password),
        *environ["STRIPE_WEBHOOK_SECRET"].split(","),
        environ["SENTRY_DSN"].partition("@")[0].removeprefix("https://"),
    ]
    assert redact(f"before {' between '.join(told)} after") == f"before {' between '.join(['***'] * 6)} after"
    assert redact("postgresql://mirroros@db.example.com/mirroros") == "postgresql://mirroros@db.example.com/mirroros"


def test_the_documentation_lists_every_setting_as_it_is() -> None:
    page = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert settings_table() in page, "run `flask config document` and paste its output into docs/configuration.md"


def test_a_program_ends_with_the_configuration_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_environment(monkeypatch, {"FLASK_ENV": "production"})
    with pytest.raises(SystemExit) as end:
        load_settings_or_exit()
    assert end.value.code == EX_CONFIG
    assert "SECRET_KEY must be set" in capsys.readouterr().err


def set_environment(monkeypatch: pytest.MonkeyPatch, environ: Environ) -> None:
    monkeypatch.setattr("os.environ", environ)


def test_an_address_that_must_be_confirmed_needs_a_mail_server() -> None:
    without = production(EMAIL_HOST=None, REGISTRATION_RESPONSE="classic")
    assert load_settings(without).require_email_verification is False
    assert problems_of({**without, "REQUIRE_EMAIL_VERIFICATION": "true"}).keys() == {"EMAIL_HOST"}


@pytest.mark.parametrize(("text", "days"), [("30", 30), ("none", None), ("", 90)])
def test_an_operator_says_how_long_api_keys_live(text: str, days: int | None) -> None:
    assert load_settings(production(API_KEY_DEFAULT_DAYS=text)).api_key_default_days == days
    assert "API_KEY_DEFAULT_DAYS" in problems_of(production(API_KEY_DEFAULT_DAYS="0"))
