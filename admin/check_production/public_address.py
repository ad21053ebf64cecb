"""PUBLIC_BASE_URL from outside: https alone, the right server behind it, CORS for listed origins alone, webhooks let through."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit, urlunsplit

import requests

from settings.production_check import CannotAsk, ProductionCheck, Shortcoming

SECONDS = 3.0
STRANGER = "https://origin-of-nobody.invalid"
HALF_A_YEAR = 15_552_000
"""Seconds. What scanners of TLS ask for at least."""
MOVED = {
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
}


@dataclass(frozen=True)
class PublicAddress:
    """`url` as clients have it. Trusts the certificate authorities of `requests` (REQUESTS_CA_BUNDLE replaces them)."""

    url: str

    def ask(self, method: str, path: str, **more: str) -> requests.Response:
        """Follows no redirect. `more` are headers. Raises requests.RequestException."""
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=SECONDS, allow_redirects=False)

    @property
    def plain(self) -> "PublicAddress":
        """The same without TLS: port 80, or the port that the URL names."""
        parts = urlsplit(self.url)
        return PublicAddress(urlunsplit(("http", parts.netloc, parts.path, "", "")))


def public_address_checks(
    url: str, environment: str, origins: Collection[str], webhooks: Sequence[str]
) -> tuple[ProductionCheck, ...]:
    """`webhooks`: the paths that payment providers post to."""
    public = PublicAddress(url)
    return (
        ProductionCheck(
            "https",
            "Only https is served, with HSTS, and this API answers there.",
            lambda: find(public, environment),
        ),
        ProductionCheck(
            "cors",
            "Only listed origins are let in.",
            lambda: find_open_origins(public, origins),
            needs="https",
        ),
        ProductionCheck(
            "webhooks",
            "The webhook addresses can be reached and refuse what is not signed.",
            lambda: find_closed_webhooks(public, webhooks),
            needs="https",
        ),
    )


def find(public: PublicAddress, environment: str) -> Iterator[Shortcoming]:
    if not public.url.startswith("https://"):
        raise CannotAsk(f"{public.url} is not https.", "Set PUBLIC_BASE_URL to the https address.")
    try:
        answer = public.ask("GET", "/")
    except requests.RequestException as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise CannotAsk(
                f"The certificate of {public.url} is not valid.",
                "Renew it, for this host name, with the whole chain. For an authority of your own set REQUESTS_CA_BUNDLE.",
            ) from None
        raise CannotAsk(
            f"{public.url} cannot be reached from here ({type(error).__name__}).",
            "Check the domain's DNS, the proxy, and that the web server runs.",
        ) from None
    if answer.status_code == HTTPStatus.FORBIDDEN and "https_required" in answer.text:
        raise CannotAsk(
            "The API takes requests over https for plain http.",
            "Make the proxy send X-Forwarded-Proto, and set TRUSTED_PROXY_HOPS to the number of proxies.",
        )
    yield from wrong_server(public, environment)
    if hsts_seconds(answer) < HALF_A_YEAR:
        yield Shortcoming(
            "Answers over https lack Strict-Transport-Security, or it lasts less than 180 days.",
            "Let the proxy pass the header on as the API sends it.",
        )
    if answers_plainly(public.plain):
        yield Shortcoming(
            f"{public.plain.url} is answered without TLS.", "Make the proxy redirect http to https, or close the port."
        )


def wrong_server(public: PublicAddress, environment: str) -> Iterator[Shortcoming]:
    try:
        health = public.ask("GET", "/health").json()
        found = str(health["environment"])
    except (requests.RequestException, ValueError, KeyError, TypeError):
        raise CannotAsk(
            f"{public.url}/health is not answered by this API.", "Point PUBLIC_BASE_URL, or the proxy, to the API."
        ) from None
    if found != environment:
        yield Shortcoming(
            f"The API at {public.url} runs as {found[:20]}, and this one as {environment}.",
            "Set the same FLASK_ENV for every process, and point the domain to this deployment.",
        )


def hsts_seconds(answer: requests.Response) -> int:
    """RFC 6797, 6.1.1. 0 without one that can be read."""
    for directive in answer.headers.get("Strict-Transport-Security", "").split(";"):
        name, _, value = directive.strip().partition("=")
        if name.lower() == "max-age" and value.strip('"').isdecimal():
            return int(value.strip('"'))
    return 0


def answers_plainly(plain: PublicAddress) -> bool:
    """Not at `/health`, which platforms ask without TLS."""
    try:
        answer = plain.ask("GET", "/")
    except requests.RequestException:
        return False
    if answer.status_code in MOVED:
        return not answer.headers.get("Location", "").startswith("https://")
    return answer.status_code < 400


def find_open_origins(public: PublicAddress, origins: Collection[str]) -> Iterator[Shortcoming]:
    for origin in sorted(origins):
        if origin.startswith("http://"):
            yield Shortcoming(
                f"CORS_ORIGINS lists {origin}, a page that anybody on its network can replace.",
                "Take it out, or list its https address.",
            )
    if allowed_origin(public, STRANGER):
        yield Shortcoming(
            "A page of any origin may call the API.",
            "Let the proxy add no Access-Control-Allow-Origin of its own: the API answers for CORS_ORIGINS.",
        )
    for origin in sorted(each for each in origins if not each.startswith("http://"))[:1]:
        if allowed_origin(public, origin) != origin:
            yield Shortcoming(
                f"Pages of {origin} are refused, although CORS_ORIGINS lists it.",
                "Start the web server again with these variables, and let the proxy pass OPTIONS and CORS headers on.",
            )


def allowed_origin(public: PublicAddress, origin: str) -> str | None:
    """As a preflight is answered (Fetch standard)."""
    try:
        answer = public.ask("OPTIONS", "/api/auth/login", Origin=origin, Access_Control_Request_Method="POST")
    except requests.RequestException as error:
        raise CannotAsk(
            f"A preflight request was not answered ({type(error).__name__}).", "Let the proxy pass OPTIONS on."
        ) from None
    return answer.headers.get("Access-Control-Allow-Origin")


def find_closed_webhooks(public: PublicAddress, paths: Sequence[str]) -> Iterator[Shortcoming]:
    """What is not signed is refused with 400 or 422, and changes nothing."""
    for path in paths:
        try:
            status = public.ask("POST", path, Content_Type="application/json").status_code
        except requests.RequestException as error:
            raise CannotAsk(f"{path} was not answered ({type(error).__name__}).", "Let the proxy pass it on.") from None
        if status not in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}:
            yield Shortcoming(
                f"{path} answers {status} to what is not signed, and should refuse it with 400.",
                "Start the web server again with these variables, and let the proxy pass the path on unchanged.",
            )
