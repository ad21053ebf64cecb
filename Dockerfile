# One image for every role. The command chooses: the web server (default), `flask worker run`, `flask realtime run`, or
# `flask db upgrade`.

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Without pip: what runs in production installs nothing.
RUN python -m venv --without-pip /venv
COPY requirements.txt /tmp/requirements.txt
# Wheels alone: nothing is compiled, so neither stage needs a compiler, and every file is checked against its hash.
RUN python -m pip --python /venv/bin/python install --require-hashes --only-binary :all: -r /tmp/requirements.txt

FROM python:3.11-slim
# The arena limit keeps glibc from reserving a heap for each of hundreds of threads.
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    FLASK_APP=app:create_app \
    FLASK_ENV=production \
    FLASK_SKIP_DOTENV=1 \
    PORT=8000
RUN groupadd --system --gid 10001 mirroros \
    && useradd --system --uid 10001 --gid mirroros --home-dir /app --shell /usr/sbin/nologin mirroros
COPY --from=build /venv /venv
WORKDIR /app
COPY . .
RUN python -m compileall -q /app
USER 10001:10001
EXPOSE 8000 8001
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/health/live\", timeout=2)"]
CMD ["gunicorn", "-c", "gunicorn.conf.py", "app:create_app()"]
