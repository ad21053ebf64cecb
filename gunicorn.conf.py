"""The one configuration of the web server: `gunicorn -c gunicorn.conf.py "app:create_app()"`.

Many threads: a prediction takes seconds, so its thread waits, and a waiting thread costs memory alone. How many predictions
may wait at once is the application's own cap, below the number of threads.
"""

import signal
import sys
from pathlib import Path
from typing import Any

# gunicorn reads this file before it puts the project on the path.
sys.path.insert(0, str(Path(__file__).parent))

from config import load_settings_or_exit
from security.metrics.process_files import make_folder, process_ended, remove_folder
from settings.check import longest_request
from web_arbiter import PatientArbiter, refuse_until_a_worker_serves
from web_cores import assignable_cores, core_for_next
from web_worker import ClientLimits, WebWorker

# Checked here, once, before any process is started that would only end and be started again.
settings = load_settings_or_exit()

CLIENT_LIMITS = ClientLimits(settings.web_waiting_per_address, settings.trusted_proxy_hops)
CORES = assignable_cores()
# The processes' heartbeat files and counts: on a disk they can block.
MEMORY_FOLDER = Path("/dev/shm")  # nosec B108 # noqa: S108

bind = f"0.0.0.0:{settings.port}"
worker_class = "web_worker.WebWorker"
logger_class = "web_worker.BriefLogger"
workers = settings.web_concurrency
threads = settings.web_threads
worker_connections = settings.web_threads + 1000  # Connections that are waited for hold no thread.
backlog = 2048
preload_app = False  # Each process opens its own connections.
worker_tmp_dir = str(MEMORY_FOLDER) if MEMORY_FOLDER.is_dir() else None

keepalive = 75  # Above the idle time of routers in front (about a minute), so that they close first.
timeout = 60  # The main loop's heartbeat, not a request's: requests run in threads.
graceful_timeout = int(longest_request(settings)) + 10  # Calls in progress are finished and recorded.

limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190
sendfile = False  # The system would hold the thread until the client has read the file.
header_map = "drop"  # `X_User_Id` must not become the same variable as `X-User-Id`.
forwarder_headers = ""  # No proxy may set SCRIPT_NAME or PATH_INFO.
forwarded_allow_ips = ""  # Forwarded headers are read by the application alone, by TRUSTED_PROXY_HOPS.

accesslog = None  # The application writes one line per request itself.
errorlog = "-"
loglevel = "info"
control_socket_disable = True
proc_name = "mirroros"


def on_starting(arbiter: Any) -> None:
    """Not at a reload: the counts of the processes that end then are kept."""
    arbiter.__class__ = PatientArbiter  # gunicorn has no setting for it
    refuse_until_a_worker_serves()
    make_folder(worker_tmp_dir)


def on_exit(_: Any) -> None:
    remove_folder()


def child_exit(server: Any, worker: WebWorker) -> None:
    process_ended(worker.pid, server.WORKERS)


def pre_fork(server: Any, worker: WebWorker) -> None:
    worker.core = core_for_next(CORES, [each.core for each in server.WORKERS.values()], workers)


def post_fork(_: Any, worker: WebWorker) -> None:
    # Until the worker sets its own handlers it has the main process' one, which would lose this signal: the server would wait
    # for `graceful_timeout` before it stopped.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    worker.limits = CLIENT_LIMITS
