import socket

from security.edge.client_socket import ClientSocket

LARGE = b"x" * (8 * 1024 * 1024)


def test_a_stream_goes_on_when_its_client_has_caught_up() -> None:
    """An event does not wait for the end of the answer because an earlier one had to."""
    ours, client = socket.socketpair()
    client.settimeout(10)
    server = ClientSocket(ours)
    with client:
        server.sendall(LARGE)
        assert server.unsent
        received = 0
        while received < len(LARGE):
            received += len(client.recv(1024 * 1024))
            server.sendall(b"")
        server.sendall(b"event")
        assert not server.unsent
        assert client.recv(100) == b"event"
    server.free()
