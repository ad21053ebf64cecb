"""The commands of a first prediction, to be pasted into a shell."""

import secrets

READ_TOKEN = "python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])'"  # noqa: S105


def first_prediction(base_url: str) -> str:
    """curl lines that register a new account, sign in, predict and read the usage. Nobody else knows its password."""
    account = f'{{"email": "newcomer-{secrets.token_hex(3)}@example.com", "password": "{secrets.token_urlsafe(15)}"}}'
    json_body = "-H 'Content-Type: application/json'"
    goal = '{"goal": "Run my first marathon in under four hours", "timeframe": "6 months"}'
    return "\n".join(
        (
            f"curl -sS {base_url}/api/auth/register {json_body} -d '{account}'",
            f"TOKEN=$(curl -sS {base_url}/api/auth/login {json_body} -d '{account}' | {READ_TOKEN})",
            f"curl -sS {base_url}/api/gateway/predict -H \"Authorization: Bearer $TOKEN\" {json_body} -d '{goal}'",
            f'curl -sS {base_url}/api/gateway/predict/usage -H "Authorization: Bearer $TOKEN"',
        )
    )
