"""What sockets are watched by."""

from prometheus_client import Counter, Gauge

SOCKETS = Gauge("mirroros_sockets", "Sockets that are open now", multiprocess_mode="livesum")
CONNECTED = Counter("mirroros_sockets_connected_total", "Sockets that were let in")
REFUSED = Counter(
    "mirroros_sockets_refused_total", "Sockets that were refused, by the error that they were told", ("error",)
)
CLOSED = Counter("mirroros_sockets_closed_total", "Sockets that ended, by the reason", ("reason",))
EVENTS = Counter(
    "mirroros_socket_events_total",
    "Events of clients, by name and by how they ended (ok, refused)",
    ("event", "outcome"),
)
