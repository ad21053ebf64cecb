"""Two competitors that do the work of `POST /api/gateway/predict`, each as an engineer who knows its libraries would write it.

`fastapi_server.py` is FastAPI on uvicorn with uvloop and httptools, aiohttp, asyncpg and redis-py; `fastify_server.mjs` is Fastify
with undici, pg and ioredis. Both check the same JWT, count the day in one Redis script, send the body signed as
MIRROR-HMAC-SHA256-V1 asks, prove that the answer is signed and JSON, and answer after one row is committed. Both set what makes
them faster and costs nothing that a user would miss: pools, prepared statements, remembered tokens, pipelined commands, no access
log, no reset of pooled connections.

The gateway does more for each call, and the comparison leaves that in: a strict check of every member of the body, limits of bursts,
of calls at once and of failures, the state of account and session, Idempotency-Key, the circuit breaker, a counter that cannot pass
the limit in the transaction of the log row, one retry of a connection that lay closed, security headers, rate limit headers,
Server-Timing, a trace id and one log line a request.
"""
