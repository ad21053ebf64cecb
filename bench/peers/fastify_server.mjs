// The Fastify peer (bench/peers/__init__.py says what it is for). `node fastify_server.mjs FD` serves on a listening socket.

import { createHmac, createSecretKey, hash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'

import { createVerifier } from 'fast-jwt'
import Fastify from 'fastify'
import { Redis } from 'ioredis'
import pg from 'pg'
import { Pool } from 'undici'

const CONTENT_TYPE = 'application/json'
const CALL_MS = 30_000
const CLOCK_TOLERANCE_SECONDS = 300
const DAY_SECONDS = 86_400
const INSERT = {
  name: 'insert-prediction', // prepared once on each connection
  text: 'INSERT INTO predictions (id, user_id, request_hash, success, response_time_ms) VALUES ($1, $2, $3, true, $4)',
}
const COUNT_THE_DAY = `
local used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
if used > tonumber(ARGV[1]) then redis.call('DECR', KEYS[1]) return -1 end
return used
`

const { env } = process
const secret = createSecretKey(Buffer.from(env.PRIVATE_API_SECRET))
const privateUrl = new URL(`${env.PRIVATE_API_URL}/predict`)

const verify = createVerifier({
  key: env.JWT_SECRET_KEY,
  algorithms: ['HS256'],
  allowedAud: env.JWT_AUDIENCE,
  allowedIss: env.JWT_ISSUER,
  requiredClaims: ['sub', 'exp'],
  cache: 8192,
})
const redis = new Redis(env.REDIS_URL, {
  enableAutoPipelining: true,
  connectTimeout: 2000,
  socketTimeout: 2000,
  maxRetriesPerRequest: 0,
})
redis.defineCommand('countTheDay', { numberOfKeys: 1, lua: COUNT_THE_DAY })
const database = new pg.Pool({
  connectionString: env.DATABASE_URL,
  max: 16,
  connectionTimeoutMillis: 2000,
  statement_timeout: 5000,
})
// Without a listener, a connection that is lost while it is idle would end the process.
redis.on('error', (error) => console.error(error.message))
database.on('error', (error) => console.error(error.message))
const upstream = new Pool(privateUrl.origin, {
  connections: 1024,
  headersTimeout: CALL_MS,
  bodyTimeout: CALL_MS,
  keepAliveTimeout: 30_000,
})

class AnswerNotTrusted extends Error {}

function signature(lines) {
  return `v1=${createHmac('sha256', secret).update(lines.join('\n')).digest('hex')}`
}

function signedHeaders(document, nonce, user, requestId) {
  const timestamp = String(Math.floor(Date.now() / 1000))
  const digest = hash('sha256', document, 'hex')
  const context = Buffer.from(
    JSON.stringify({ rid: requestId, sub: user, idem: requestId, deadline_ms: CALL_MS }),
  ).toString('base64url')
  const lines = [
    'MIRROR-HMAC-SHA256-V1',
    'k1',
    timestamp,
    nonce,
    'POST',
    privateUrl.pathname,
    '',
    CONTENT_TYPE,
    context,
    digest,
  ]
  return {
    'content-type': CONTENT_TYPE,
    'x-request-id': requestId,
    'x-mirror-key-id': 'k1',
    'x-mirror-timestamp': timestamp,
    'x-mirror-nonce': nonce,
    'x-mirror-content-sha256': digest,
    'x-mirror-context': context,
    'x-mirror-signature': signature(lines),
  }
}

function proveOrigin(headers, nonce, body) {
  const timestamp = headers['x-mirror-timestamp'] ?? ''
  const skew = Math.abs(Date.now() / 1000 - Number(timestamp))
  if (headers['x-mirror-key-id'] !== 'k1' || !/^\d+$/.test(timestamp) || skew > CLOCK_TOLERANCE_SECONDS) {
    throw new AnswerNotTrusted()
  }
  const digest = hash('sha256', body, 'hex')
  const contentType = headers['content-type'] ?? ''
  const lines = ['MIRROR-HMAC-SHA256-V1-RESPONSE', 'k1', timestamp, nonce, '200', contentType, digest]
  const expected = Buffer.from(signature(lines))
  const presented = Buffer.from(headers['x-mirror-signature'] ?? '')
  if (presented.length !== expected.length || !timingSafeEqual(presented, expected)) throw new AnswerNotTrusted()
}

async function askPrivateServer(document, user, requestId) {
  const nonce = randomBytes(16).toString('base64url')
  const { statusCode, headers, body } = await upstream.request({
    method: 'POST',
    path: privateUrl.pathname,
    headers: signedHeaders(document, nonce, user, requestId),
    body: document,
  })
  // Bytes that are no UTF-8 come out changed, and then the digest of the signature does not match.
  const text = await body.text()
  if (statusCode !== 200) throw new AnswerNotTrusted()
  proveOrigin(headers, nonce, text)
  const prediction = JSON.parse(text)
  if (prediction === null || typeof prediction !== 'object' || Array.isArray(prediction)) throw new AnswerNotTrusted()
  return prediction
}

function userOf(authorization) {
  if (!authorization?.startsWith('Bearer ')) return null
  try {
    return verify(authorization.slice(7)).sub
  } catch {
    return null
  }
}

const app = Fastify({ logger: false, keepAliveTimeout: 75_000 })

app.post('/api/gateway/predict', async (request, reply) => {
  const began = performance.now()
  const user = userOf(request.headers.authorization)
  if (user === null) return reply.code(401).send({ error: 'invalid_token' })
  const document = JSON.stringify(request.body)
  const day = new Date().toISOString().slice(0, 10)
  const used = await redis.countTheDay(`day:${user}:${day}`, env.DAY_LIMIT, DAY_SECONDS)
  if (used === -1) return reply.code(429).send({ error: 'rate_limit_exceeded' })
  const requestId = randomUUID()
  let prediction
  try {
    prediction = await askPrivateServer(document, user, requestId)
  } catch {
    return reply.code(502).send({ error: 'prediction_failed' })
  }
  const milliseconds = Math.round(performance.now() - began)
  await database.query({ ...INSERT, values: [requestId, user, hash('sha256', document, 'hex'), milliseconds] })
  prediction.metadata = { request_id: requestId, response_time_ms: milliseconds }
  return prediction
})

await app.ready()
app.server.listen({ fd: Number(process.argv[2]) })
