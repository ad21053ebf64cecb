"""Mask what has the known shape of a secret in text that people send, and count it. What has no such shape stays."""

import re
from dataclasses import dataclass

MASK = "[masked]"

_NAMES = r"(?:[A-Za-z0-9_.-]{0,200}(?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|auth[_-]?token|token|credential))"
_SECRETS = re.compile(
    rf"""
    -----BEGIN\ [A-Z0-9 ]*PRIVATE\ KEY-----(?s:.*?)(?:-----END\ [A-Z0-9 ]*PRIVATE\ KEY-----|\Z)
    | (?<![\w-])eyJ[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?     # a JSON Web Token
    | \b(?:tok|rt|dt|ot|sc|msk)_[A-Za-z0-9_-]{{16,}}                    # ours
    | \b[srp]k_(?:live|test)_[A-Za-z0-9]{{8,}} | \bwhsec_[A-Za-z0-9+/=]{{8,}}       # Stripe
    | \b(?:sk-|gsk_|hf_|AIza|r8_|xai-)[A-Za-z0-9_-]{{16,}}             # AI providers
    | \b(?:AKIA|ASIA)[A-Z0-9]{{16}}\b                                   # AWS
    | \b(?:gh[pousr]_|github_pat_|glpat-|npm_|pypi-|dop_v1_|shpat_|SG\.)[A-Za-z0-9_.-]{{16,}}
    | \bxox[abeoprs]-[A-Za-z0-9-]{{10,}}                                # Slack
    | \$(?:2[abxy]|[156y]|argon2id?)\$[^\s:"']{{10,}}                   # a hash of a password
    | (?P<url>://[^\s/:@]{{0,64}}:)[^\s/@]{{1,256}}(?=@)
    | (?P<header>\bAuthorization\s*:\s*[A-Za-z]+\s+)[^\s"',;]+
    | (?P<scheme>\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{{12,}}
    | (?P<user>(?:^|\s)(?:-u|--user)[\s=]+['"]?[^\s:'"]{{1,64}}:)[^\s'"]+
    | (?P<sshpass>\bsshpass\s+-p\s*)(?:'[^']*'|"[^"]*"|\S+)
    | (?P<named>(?<![\w.-])(?:{_NAMES}["']?\s*[=:]\s*|--?{_NAMES}[\s=]+))(?!\[masked\])(?:"[^"\n]*"|'[^'\n]*'|[^\s"',;&|]+)
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Hidden:
    """`count`: how many secrets stood there."""

    text: str
    count: int


def hide_secrets(text: str, *known: str) -> Hidden:
    """`known`: secrets whose texts are known, whatever their shape."""
    count = 0
    for secret in known:
        count += text.count(secret)
        text = text.replace(secret, MASK)
    text, more = _SECRETS.subn(_masked, text)
    return Hidden(text, count + more)


def _masked(match: re.Match[str]) -> str:
    kept = next((match[name] for name in ("url", "header", "scheme", "user", "sshpass", "named") if match[name]), "")
    return kept + MASK
