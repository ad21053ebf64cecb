import pytest

from security.edge.client_address import UNKNOWN_ADDRESS, client_address
from tests.toy_api import told, toy_app

PEER = "192.0.2.9"


def address_seen(hops: int, forwarded: str | None, peer: str = PEER) -> str:
    environ = {"REMOTE_ADDR": peer}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    with toy_app(trusted_proxy_hops=hops).test_request_context("/", environ_overrides=environ):
        return client_address()


@pytest.mark.parametrize(
    ("hops", "forwarded", "expected"),
    [
        pytest.param(0, "198.51.100.1", PEER, id="no proxy is trusted"),
        pytest.param(1, None, PEER, id="the proxy sent nothing"),
        pytest.param(1, "198.51.100.1", "198.51.100.1", id="one proxy"),
        pytest.param(1, "1.2.3.4, 198.51.100.1", "198.51.100.1", id="the client made an entry up"),
        pytest.param(2, "1.2.3.4, 198.51.100.1, 203.0.113.7", "198.51.100.1", id="two proxies"),
        pytest.param(2, "198.51.100.1", PEER, id="one proxy was gone around"),
        pytest.param(1, ", ".join(["1.2.3.4"] * 100 + ["198.51.100.1"]), "198.51.100.1", id="a hundred entries"),
        pytest.param(1, "1.2.3.4, not-an-ip", PEER, id="junk"),
        pytest.param(1, "", PEER, id="empty"),
        pytest.param(1, "1.2.3.4,", PEER, id="empty last entry"),
        pytest.param(1, "x" * 8000, PEER, id="long junk"),
        pytest.param(1, "198.51.100.1:443", "198.51.100.1", id="port"),
        pytest.param(1, "[2001:db8::1]:443", "2001:db8::1", id="IPv6 and port"),
        pytest.param(1, "2001:DB8:0::1", "2001:db8::1", id="IPv6 in another spelling"),
        pytest.param(1, "::ffff:198.51.100.1", "198.51.100.1", id="IPv4 in IPv6"),
        pytest.param(1, "fe80::1%eth0", PEER, id="IPv6 zone"),
        pytest.param(1, "198.051.100.1", PEER, id="leading zero"),
        pytest.param(1, "999.1.1.1", PEER, id="no such number"),
        pytest.param(1, "198.51.100.1\x00", PEER, id="NUL"),
        pytest.param(1, '"1.2.3.4, 198.51.100.1', "198.51.100.1", id="an open quotation mark before the proxy's entry"),
    ],
)
def test_the_address_is_the_outermost_trusted_proxys_or_the_peers(
    hops: int, forwarded: str | None, expected: str
) -> None:
    assert address_seen(hops, forwarded) == expected


@pytest.mark.parametrize("peer", ["", "unix:"])
def test_a_peer_without_an_address_is_the_unspecified_one(peer: str) -> None:
    assert address_seen(0, None, peer) == UNKNOWN_ADDRESS


@pytest.mark.parametrize(
    ("hops", "scheme", "forwarded", "https"),
    [
        (0, "http", "https", False),
        (0, "https", None, True),
        (1, "http", "https", True),
        (1, "http", "HTTPS", True),
        (1, "http", "https, http", False),
        (1, "http", None, False),
        (1, "https", "http", False),
        (2, "http", "https", True),
        (2, "http", "http, https, http", True),
        (1, "http", "junk", False),
    ],
)
def test_only_a_trusted_proxy_can_say_https(hops: int, scheme: str, forwarded: str | None, https: bool) -> None:
    client = toy_app(trusted_proxy_hops=hops, require_https=True).test_client()
    answer = client.get(
        "/toy/wishes",
        base_url=f"{scheme}://api.example.com",
        headers={"X-Forwarded-Proto": forwarded} if forwarded is not None else {},
        environ_overrides={"REMOTE_ADDR": PEER},
    )
    assert answer.status_code == (200 if https else 403)
    assert ("Strict-Transport-Security" in answer.headers) is https


def test_plain_http_is_refused_without_a_redirect() -> None:
    client = toy_app(require_https=True).test_client()
    answer = client.post("/toy/wishes", json={"goal": "run"}, environ_overrides={"REMOTE_ADDR": PEER})
    assert (answer.status_code, told(answer)["error"]) == (403, "https_required")
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    ("path", "peer"), [("/health", PEER), ("/health/ready", PEER), ("/x", "127.0.0.1"), ("/x", "::1")]
)
def test_health_checks_and_loopback_may_be_plain(path: str, peer: str) -> None:
    client = toy_app(require_https=True).test_client()
    assert client.get(path, environ_overrides={"REMOTE_ADDR": peer}).status_code == 404


@pytest.mark.parametrize("path", ["/healthy", "/api/health"])
def test_other_paths_that_look_like_health_may_not(path: str) -> None:
    client = toy_app(require_https=True).test_client()
    assert client.get(path, environ_overrides={"REMOTE_ADDR": PEER}).status_code == 403
