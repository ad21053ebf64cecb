"""The commands of a first prediction, to be pasted into a shell."""

import secrets

SIGNED_IN = '-H "Authorization: Bearer $TOKEN"'
SHOW = "curl -sSw '\\n'"
"""The answer with an end of line, which none of ours has."""
JSON_BODY = "-H 'Content-Type: application/json'"


def first_prediction(base_url: str) -> str:
    """curl lines that register a new account, sign in, predict and read the usage. Nobody else knows its password."""
    account = f'{{"email": "newcomer-{secrets.token_hex(3)}@example.com", "password": "{secrets.token_urlsafe(15)}"}}'
    goal = '{"goal": "Run my first marathon in under four hours", "timeframe": "6 months"}'
    return "\n".join(
        (
            f"{SHOW} {base_url}/api/auth/register {JSON_BODY} -d '{account}'",
            f"TOKEN=$(curl -sS {base_url}/api/auth/login {JSON_BODY} -d '{account}' | {read_member('access_token')})",
            f"{SHOW} {base_url}/api/gateway/predict {SIGNED_IN} {JSON_BODY} -d '{goal}'",
            f"{SHOW} {base_url}/api/gateway/predict/usage {SIGNED_IN}",
        )
    )


def read_member(name: str) -> str:
    """A command that prints one member of the JSON that it reads."""
    return f"python3 -c 'import json, sys; print(json.load(sys.stdin)[\"{name}\"])'"
