"""Names that variables had in earlier products: read, and warned of."""

import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from capabilities.solve.settings import SolveSection
from config import SettingsInvalid, load_settings
from database.engine import libpq_url, sqlalchemy_url
from sandbox.run import development_environment
from settings.check import warnings_on
from settings.environment import FORMER_NAMES, source_of, with_names_of_today
from tests.test_config import ROOT, problems_of, production

AS_DOCUMENTED = """\
# Django Configuration
DJANGO_SECRET_KEY="your-secret-key-here"
DJANGO_DEBUG=1  # Set to 0 in production
ALLOWED_HOSTS="localhost,127.0.0.1"

# Database
DATABASE_URL="postgres://postgres:postgres@localhost:5432/app"

# Email Configuration
DEFAULT_FROM_EMAIL="no-reply@example.com"
EMAIL_HOST="localhost"
EMAIL_PORT=1025  # Mailcatcher default port
EMAIL_HOST_USER=""
EMAIL_HOST_PASSWORD=""
EMAIL_USE_TLS=false

# OpenAI Integration
OPENAI_API_KEY="sk-..."  # Your OpenAI API key
OPENAI_MODEL="gpt-4-vision-preview"
OPENAI_TIMEOUT_S=30
USE_MOCK_OPENAI=true  # Set to false for production

# Billing Configuration
COST_PER_REQUEST_CENTS=100

# CORS Settings
CORS_ALLOWED_ORIGINS="http://localhost:5173,http://localhost:3000"
"""


def test_an_env_file_of_an_earlier_product_is_read_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(AS_DOCUMENTED, encoding="utf-8")
    settings = load_settings({"CAPABILITIES": "solve"}, env_file=tmp_path / ".env")
    assert settings.is_development
    assert settings.secret_key.get_secret_value() == "your-secret-key-here"
    assert settings.trusted_hosts == {"localhost", "127.0.0.1"}
    assert settings.cors_origins == {"http://localhost:5173", "http://localhost:3000"}
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgres://postgres:postgres@localhost:5432/app"
    assert (settings.email_host, settings.email_port, settings.email_use_tls) == ("localhost", 1025, False)
    assert (settings.email_host_user, settings.email_host_password) == (None, None)
    assert settings.default_from_email == "no-reply@example.com"
    assert isinstance(settings, SolveSection)
    assert (settings.use_mock_openai, settings.key_of("openai"), settings.openai_timeout_s) == (True, None, 30)
    assert settings.cost_per_request_cents == 100
    assert warnings_on(settings) == [
        "OPENAI_MODEL names gpt-4-vision-preview, which was shut down on 2024-12-06. Choose a newer model"
    ]


AS_THE_CHAT_SERVER_DOCUMENTED = """\
NODE_ENV=development
PORT=3000
SUPABASE_URL=https://accounts.example.com
SUPABASE_ANON_KEY=anonymous
SUPABASE_SERVICE_KEY=service
DATABASE_URL=postgresql://postgres:postgres@localhost:5432/app
REDIS_URL=redis://localhost:6379
JWT_SECRET=a-secret-of-the-chat-server-0123456789
"""


def test_an_env_file_of_the_chat_server_is_read_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(AS_THE_CHAT_SERVER_DOCUMENTED, encoding="utf-8")
    settings = load_settings({}, env_file=tmp_path / ".env")
    assert (settings.is_development, settings.port) == (True, 3000)
    assert settings.jwt_secret_key is not None
    assert settings.jwt_secret_key.get_secret_value() == "a-secret-of-the-chat-server-0123456789"


AS_THE_STORE_DOCUMENTED = """\
# Database Configuration
DATABASE_URL=postgresql+asyncpg://admin:secret@localhost:5432/mydb

# Security
SECRET_KEY=your_super_secret_key_here_change_this_in_production
ALGORITHM=HS256

# Token Lifetimes (in minutes)
ACCESS_TOKEN_LIFETIME=15
SHORT_REFRESH_TOKEN_LIFETIME=60
LONG_REFRESH_TOKEN_LIFETIME=43200

# CORS Configuration
ALLOWED_ORIGINS=http://localhost:5173

# Payment Processing
STRIPE_KEY=sk_test_your_stripe_secret_key_here
"""


def test_an_env_file_of_the_store_is_read_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(AS_THE_STORE_DOCUMENTED, encoding="utf-8")
    settings = load_settings({}, env_file=tmp_path / ".env")
    assert settings.is_development
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    assert sqlalchemy_url(url) == "postgresql+psycopg2://admin:secret@localhost:5432/mydb"
    assert libpq_url(url) == "postgresql://admin:secret@localhost:5432/mydb"
    assert settings.jwt_algorithm == "HS256"
    assert settings.jwt_access_token_expire_minutes == 15
    assert settings.jwt_short_refresh_expire_minutes == 60
    assert settings.jwt_refresh_token_expire_days == 30
    assert settings.cors_origins == {"http://localhost:5173"}
    assert settings.stripe_secret_key is not None
    assert settings.stripe_secret_key.get_secret_value() == "sk_test_your_stripe_secret_key_here"


def test_two_variables_of_the_store_alone_are_enough_to_develop() -> None:
    given = {"STRIPE_KEY": "sk_test_your_stripe_secret_key_here", "ALLOWED_ORIGINS": "http://localhost:5173"}
    settings = load_settings({**given, "CAPABILITIES": "predict,shop"})
    assert settings.is_development
    assert settings.cors_origins == {"http://localhost:5173"}
    assert with_names_of_today(given).remarks == [
        "STRIPE_KEY is the former name of STRIPE_SECRET_KEY. Set STRIPE_SECRET_KEY instead.",
        "ALLOWED_ORIGINS is the former name of CORS_ORIGINS. Set CORS_ORIGINS instead.",
    ]


@pytest.mark.parametrize("minutes", ["43201", "1", "-1440", "1440.0", "a month", "\u0661\u0664\u0664\u0660"])
def test_minutes_that_make_no_whole_days_are_refused(minutes: str) -> None:
    assert problems_of(production(LONG_REFRESH_TOKEN_LIFETIME=minutes)) == {
        "LONG_REFRESH_TOKEN_LIFETIME": (
            "must be minutes that make whole days, such as 43200; better set JWT_REFRESH_TOKEN_EXPIRE_DAYS"
        )
    }


def test_minutes_and_days_that_are_the_same_do_not_differ() -> None:
    both = production(LONG_REFRESH_TOKEN_LIFETIME="10080", JWT_REFRESH_TOKEN_EXPIRE_DAYS="7")
    assert load_settings(both).jwt_refresh_token_expire_days == 7
    both["JWT_REFRESH_TOKEN_EXPIRE_DAYS"] = "8"
    assert problems_of(both).keys() == {"LONG_REFRESH_TOKEN_LIFETIME"}


def test_what_is_ignored_is_told_by_its_name_alone() -> None:
    given = {"SUPABASE_URL": "https://accounts.example.com", "SUPABASE_ANON_KEY": "anonymous", "API_V1_STR": "/api/v1"}
    assert with_names_of_today(given).remarks == [
        "SUPABASE_ANON_KEY is ignored: accounts are kept in DATABASE_URL. Remove it.",
        "SUPABASE_URL is ignored: accounts are kept in DATABASE_URL. Remove it.",
        "API_V1_STR is ignored: all paths begin with /api. Remove it.",
    ]


AS_THE_TERMINAL_DOCUMENTED = """\
API_V1_STR=/api
PROJECT_NAME=DevPocket API
DEBUG=true
"""


def test_an_env_file_of_the_terminal_is_read_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(AS_THE_TERMINAL_DOCUMENTED, encoding="utf-8")
    settings = load_settings({}, env_file=tmp_path / ".env")
    assert (settings.is_development, settings.project_name) == (True, "DevPocket API")
    renamed = with_names_of_today({"DEBUG": "true"})
    assert renamed.remarks == ["DEBUG is the former name of FLASK_ENV. Set FLASK_ENV instead."]
    assert source_of("FLASK_ENV", {"DEBUG": "true"}, None) == "environment, as DEBUG"


@pytest.mark.parametrize("elsewhere", [{"FLASK_ENV": "production"}, {"FLASK_ENV": "staging"}, {"DYNO": "web.1"}])
def test_debug_is_refused_outside_development(elsewhere: dict[str, str]) -> None:
    problems = problems_of(production(**{"FLASK_ENV": None, **elsewhere}, DEBUG="true"))
    assert problems == {"DEBUG": f"must not be on in {elsewhere.get('FLASK_ENV', 'production')}; remove it"}


@pytest.mark.parametrize(
    ("given", "environment"),
    [
        ({"DEBUG": "off"}, "production"),
        ({"DEBUG": "0", "FLASK_ENV": "development"}, "development"),
        ({"DEBUG": "express:*", "FLASK_ENV": "production"}, "production"),
        ({"DEBUG": "1", "NODE_ENV": "development"}, "development"),
    ],
)
def test_debug_that_is_off_or_of_another_program_changes_nothing_that_is_named(
    given: dict[str, str], environment: str
) -> None:
    assert load_settings(production(**{"FLASK_ENV": None, **given})).flask_env == environment


@pytest.mark.parametrize(
    ("text", "environment"),
    [("1", "development"), ("True", "development"), ("0", "production"), ("false", "production")],
)
def test_debug_says_which_environment_it_is(text: str, environment: str) -> None:
    assert load_settings(production(FLASK_ENV=None, DJANGO_DEBUG=text)).flask_env == environment


def test_production_by_its_former_name_is_as_strict() -> None:
    assert "DATABASE_URL" in problems_of({"DJANGO_DEBUG": "0"})


def test_two_names_of_one_variable_must_say_the_same() -> None:
    both = production(ALLOWED_HOSTS="api.example.com", TRUSTED_HOSTS="api.example.com", DJANGO_DEBUG="0")
    assert load_settings(both).trusted_hosts == {"api.example.com"}
    differing = {
        "ALLOWED_HOSTS": "a.example.com",
        "TRUSTED_HOSTS": "b.example.com",
        "DJANGO_DEBUG": "1",
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(48),
    }
    problems = problems_of(production(**differing))
    assert problems == {
        name: f"is the former name of {FORMER_NAMES[name]}, which is set to something else; remove one of them"
        for name in ("ALLOWED_HOSTS", "DJANGO_DEBUG", "DJANGO_SECRET_KEY")
    }


def test_two_former_names_of_one_variable_must_say_the_same() -> None:
    both = {"FLASK_ENV": None, "DJANGO_DEBUG": "0"}
    assert load_settings(production(**both, NODE_ENV="production")).flask_env == "production"
    assert problems_of(production(**both, NODE_ENV="development")).keys() == {"NODE_ENV"}


def test_a_problem_is_told_under_the_name_that_is_set() -> None:
    given = production(ALLOWED_HOSTS="*", CORS_ALLOWED_ORIGINS="*", SECRET_KEY=None, DJANGO_SECRET_KEY="short")
    assert problems_of(given).keys() == {"ALLOWED_HOSTS", "CORS_ALLOWED_ORIGINS", "DJANGO_SECRET_KEY"}
    assert "DJANGO_DEBUG" in problems_of(production(FLASK_ENV=None, DJANGO_DEBUG="perhaps"))


def test_a_secret_can_be_mounted_under_its_former_name(tmp_path: Path) -> None:
    secret = secrets.token_urlsafe(48)
    (tmp_path / "secret").write_text(f"{secret}\n", encoding="utf-8")
    mounted = production(SECRET_KEY=None, DJANGO_SECRET_KEY_FILE=str(tmp_path / "secret"))
    assert load_settings(mounted).secret_key.get_secret_value() == secret
    with pytest.raises(SettingsInvalid, match="DJANGO_SECRET_KEY could not be read"):
        load_settings(production(SECRET_KEY=None, DJANGO_SECRET_KEY_FILE=str(tmp_path / "none")))


def test_remarks_name_both_and_show_no_value() -> None:
    given = {"DJANGO_SECRET_KEY": secrets.token_urlsafe(48), "ALLOWED_HOSTS": ""}
    renamed = with_names_of_today(given)
    assert renamed.remarks == ["DJANGO_SECRET_KEY is the former name of SECRET_KEY. Set SECRET_KEY instead."]
    assert source_of("SECRET_KEY", given, None) == "environment, as DJANGO_SECRET_KEY"


@pytest.mark.slow
def test_the_check_says_so(tmp_path: Path) -> None:
    """In a process of its own, as operators run it. It judges for production what is named development."""
    environ = production(
        FLASK_ENV=None,
        DJANGO_DEBUG="1",
        CORS_ALLOWED_ORIGINS="https://app.example.com",
        CAPABILITIES="solve",
        OPENAI_API_KEY=f"sk-proj-{secrets.token_hex(20)}",
        OPENAI_MODEL="gpt-4-vision-preview",
    )
    done = subprocess.run(
        [sys.executable, "-m", "flask", "config", "check", "--for", "production"],
        cwd=ROOT,
        env={**environ, "PATH": "", "PYTHONDONTWRITEBYTECODE": "1", "FLASK_SKIP_DOTENV": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "The settings are valid for production." in done.stdout
    assert "note: CORS_ALLOWED_ORIGINS is the former name of CORS_ORIGINS." in done.stdout
    assert "Warning: CORS_ALLOWED_ORIGINS is the former name" in done.stderr
    assert "Warning: OPENAI_MODEL names gpt-4-vision-preview, which was shut down on 2024-12-06." in done.stderr


def test_each_former_name_is_documented() -> None:
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    for former, name in FORMER_NAMES.items():
        assert f"| `{former}` | `{name}`" in page


def test_make_run_names_the_names_of_today(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The programs that it starts get these alone, and so cannot say it."""
    monkeypatch.setenv("FLASK_ENV", "development")
    monkeypatch.delenv("STRIPE_SECRET_KEY", raising=False)
    monkeypatch.setenv("STRIPE_KEY", key := "sk_test_" + secrets.token_hex(12))
    assert development_environment()["STRIPE_SECRET_KEY"] == key
    warned = "Warning: STRIPE_KEY is the former name of STRIPE_SECRET_KEY. Set STRIPE_SECRET_KEY instead."
    assert warned in capsys.readouterr().err.splitlines()
