"""placeholder"""

from flask import Flask


def add_compat_routes(app: Flask) -> None: ...
