"""The commands of a new account and its first prediction, to be pasted into a shell."""

import secrets

SIGNED_IN = '-H "Authorization: Bearer $TOKEN"'
SHOW = "curl -sSw '\\n'"
"""The answer with an end of line, which none of ours has."""
JSON_BODY = "-H 'Content-Type: application/json'"


def new_account(base_url: str) -> str:
    """curl lines that register an account and sign in. Nobody else knows its password."""
    account = f'{{"email": "newcomer-{secrets.token_hex(3)}@example.com", "password": "{secrets.token_urlsafe(15)}"}}'
    return (
        f"{SHOW} {base_url}/api/auth/register {JSON_BODY} -d '{account}'\n"
        f"TOKEN=$(curl -sS {base_url}/api/auth/login {JSON_BODY} -d '{account}' | {read_member('access_token')})"
    )


def first_prediction(base_url: str) -> str:
    """curl lines that predict and read the usage."""
    goal = '{"goal": "Run my first marathon in under four hours", "timeframe": "6 months"}'
    return (
        f"{SHOW} {base_url}/api/gateway/predict {SIGNED_IN} {JSON_BODY} -d '{goal}'\n{usage_of_predictions(base_url)}"
    )


def usage_of_predictions(base_url: str) -> str:
    return f"{SHOW} {base_url}/api/gateway/predict/usage {SIGNED_IN}"


def read_member(name: str) -> str:
    """A command that prints one member of the JSON that it reads."""
    return f"python3 -c 'import json, sys; print(json.load(sys.stdin)[\"{name}\"])'"
