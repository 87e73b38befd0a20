/**
 * What does a decision on a stored introspection answer cost, headers included?
 *
 *     node bench/engine-hit.ts
 *
 * One thousand tokens, a request of seven header lines, an answer of twelve members, a Consumer. Prints nanoseconds per decision for each round, and beside
 * it those of the one SHA-256 that a decision cannot do without.
 */
import { hash } from 'node:crypto'
import { createConsumerDirectory } from '../src/entities/consumer-directory.ts'
import { HeaderList } from '../src/http/headers.ts'
import { createEngine } from '../src/introspection/engine.ts'
import type { IntrospectedRequest } from '../src/introspection/request.ts'
import { createProfile } from '../src/plugins/oauth2-introspection/profile.ts'
import type { Config } from '../src/plugins/oauth2-introspection/schema.ts'
import { silentLog } from '../src/telemetry/log.ts'

const ROUNDS = 5
const DECISIONS = 200_000
const HEADERS = [
  'Host',
  'api.example',
  'User-Agent',
  'bench',
  'Accept',
  '*/*',
  'Accept-Encoding',
  'gzip',
  'X-Forwarded-For',
  '192.0.2.1',
  'X-Trace',
  'a',
]

const config: Config = {
  introspection_url: 'https://as.example/introspect',
  ttl: 300,
  token_type_hint: null,
  authorization_value: 'Basic eA==',
  timeout: 1000,
  keepalive: 1000,
  introspect_request: false,
  hide_credentials: true,
  run_on_preflight: true,
  anonymous: '',
  consumer_by: 'username',
  custom_introspection_headers: {},
  custom_claims_forward: [],
}
const settings = {
  introspection_cache_max_entries: 100_000,
  introspection_cache_negative_max_entries: 10_000,
  introspection_cache_max_bytes: 256_000_000,
  introspection_cache_ttl_without_exp: 3600,
}
const claims = {
  scope: 'read write',
  client_id: 'c',
  username: 'alice',
  token_type: 'Bearer',
  exp: 4e9,
  iat: 1,
  nbf: 1,
  sub: 's',
  aud: ['a', 'b'],
  iss: 'i',
  jti: 'j',
}
const body = Buffer.from(JSON.stringify({ active: true, ...claims }))

const engine = createEngine(createProfile(config, { pluginId: 'bench', settings }), {
  log: silentLog,
  now: Date.now,
  settings,
  httpClient: () => async () => ({ status: 200, headers: { get: () => null }, body }),
  shared: (_name, make) => make(),
})
const consumers = createConsumerDirectory([{ id: '7a1c7e9e-0000-4000-8000-000000000000', username: 'alice', custom_id: 'x', tags: null }])
const tokens = Array.from({ length: 1000 }, (_, i) => `${i}-${'t'.repeat(40)}`)

function request(token: string): IntrospectedRequest {
  const headers = HeaderList.fromRaw(HEADERS)
  headers.add('Authorization', `Bearer ${token}`)
  return { method: 'GET', rawPath: '/', query: '', headers, hasBody: false, bodyLength: 0, readBody: async () => null, replaceBody() {} }
}

function nanoseconds(step: (token: string) => void): number {
  const start = process.hrtime.bigint()
  for (let i = 0; i < DECISIONS; i++) step(tokens[i % tokens.length] as string)
  return Number(process.hrtime.bigint() - start) / DECISIONS
}

for (const token of tokens) await engine.decide(request(token), consumers)
for (let round = 1; round <= ROUNDS; round++) {
  const making = nanoseconds(request)
  const deciding = nanoseconds((token) => {
    if (engine.decide(request(token), consumers) instanceof Promise) throw new Error('not a hit')
  })
  const hashing = nanoseconds((token) => hash('sha256', 'f'.repeat(43) + token, 'base64url'))
  process.stdout.write(`round ${round}: decision ${Math.round(deciding - making)} ns, of which the hash ${Math.round(hashing)} ns\n`)
}
