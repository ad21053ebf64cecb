"""Flask around the floor, to try the harness with before the gateway exists."""

import os

from flask import Flask, request
from werkzeug import Response

from bench.floor import Floor


def create_stand_in() -> Flask:
    app, floor = Flask("stand_in"), Floor(os.environ)

    @app.post("/api/gateway/predict")
    def predict() -> Response:
        return Response.from_app(floor, request.environ)

    return app
