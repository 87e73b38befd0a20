import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { completeConfig, configViolations, pluginEntity } from '../../../test/support/plugin-config.ts'
import type { Field, Fields } from '../../schema/field.ts'
import { mapEncrypted, toKongSubschema, withEchoes } from '../../schema/project.ts'
import type { JsonObject } from '../../schema/validate.ts'
import { completeEntity, mergePatch } from '../../schema/validate.ts'
import type { Config } from './schema.ts'
import { schema } from './schema.ts'
import { AUTH_METHODS } from './schema-terms.ts'

const entity = pluginEntity(schema)
const minimal = { issuer: 'https://idp.example' }

function complete(config: JsonObject): Config {
  return completeConfig(schema, { ...minimal, ...config })
}

const violationsOf = (config: JsonObject) => configViolations(schema, { ...minimal, ...config })

function patch(stored: JsonObject, config: JsonObject): Config {
  const merged = mergePatch(entity, stored, { config })
  return completeEntity(entity, merged, { nowS: 0, context: 'update' })['config'] as Config
}

// ---------------------------------------------------------------------------------------------------------------------------------------- facts

/** One line a field, in the notation of `schema.facts.txt`, which holds the published facts of Kong's 3.15 schema. */
function factsOf(fields: Fields, prefix = ''): string[] {
  return Object.entries(fields).flatMap(([name, field]) => [
    `${prefix}${name}: ${[typeOf(field), ...attributesOf(field)].join(', ')}`,
    ...factsOf(field.fields ?? {}, `${prefix}${name}.`),
    ...factsOf(field.elements?.fields ?? {}, `${prefix}${name}[].`),
  ])
}

function typeOf(field: Field): string {
  return field.elements === undefined ? field.kind : `${field.kind} of ${typeOf(field.elements)}`
}

function attributesOf({ options, elements }: Field): string[] {
  const choices = options.oneOf ?? elements?.options.oneOf
  return [
    options.required === true ? 'required' : '',
    options.auto === true ? 'auto' : '',
    options.referenceable === true || elements?.options.referenceable === true ? 'referenceable' : '',
    options.encrypted === true ? 'encrypted' : '',
    options.default === undefined ? '' : `default ${JSON.stringify(options.default)}`,
    choices === undefined ? '' : `one of ${choices.join(' ')}`,
    options.between === undefined ? '' : `between ${options.between.join(' and ')}`,
    options.startsWith === undefined ? '' : `starts with ${options.startsWith}`,
    options.lenMin === undefined ? '' : `at least ${options.lenMin}`,
  ].filter(Boolean)
}

test("all 234 fields, 378 with nested ones, have the order, type, default, choices and flags of Kong's 3.15 schema", () => {
  const facts = readFileSync(join(import.meta.dirname, 'schema.facts.txt'), 'utf8')
    .trimEnd()
    .split('\n')
  assert.deepEqual(factsOf(schema.fields), facts)
  assert.equal(facts.length, 378)
  assert.equal(Object.keys(schema.fields).length, 234)
})

test('types are inferred from the declaration', () => {
  const config = complete({})
  const issuer: string = config.issuer
  const methods: (typeof AUTH_METHODS)[number][] | null = config.auth_methods
  const accept: 'application/json' | 'application/token-introspection+jwt' | 'application/jwt' | null = config.introspection_accept
  const claims: string[][] | null = config.consumer_claims
  const headers: { header: string; path: string[] }[] | null = config.upstream_headers
  const keyId: string | null | undefined = config.client_jwk?.[0]?.['x5t#S256']
  assert.deepEqual(
    [issuer, methods, accept, claims, headers, keyId],
    [minimal.issuer, [...AUTH_METHODS], 'application/json', null, null, undefined],
  )
  const refusesUnknownNames: 'isuer' extends keyof Config ? false : true = true
  assert.equal(refusesUnknownNames, true)
})

test('only an issuer is needed; what is completed completes to itself', () => {
  const config = complete({})
  assert.equal(Object.keys(config).length, 234)
  assert.equal(config.redis.host, '127.0.0.1')
  assert.equal(config.cluster_cache_redis.port, 6379)
  assert.equal(config.token_exchange, null)
  assert.equal(config.principals.directory, 'default')
  assert.deepEqual(complete(config), config)
  assert.deepEqual(configViolations(schema, {}), { issuer: 'required field missing' })
})

test('a salt is made for each configuration, and kept by a PUT that repeats it', () => {
  const salt = complete({}).cache_tokens_salt
  assert.match(String(salt), /^[0-9A-Za-z]{32}$/)
  assert.notEqual(complete({}).cache_tokens_salt, salt)
  assert.equal(complete({ cache_tokens_salt: salt }).cache_tokens_salt, salt)
})

test('ws and wss are allowed beside the default protocols', () => {
  const { protocols } = completeEntity(entity, { config: minimal, protocols: ['ws', 'wss', 'https'] }, { nowS: 0 })
  assert.deepEqual(protocols, ['ws', 'wss', 'https'])
  assert.deepEqual(completeEntity(entity, { config: minimal }, { nowS: 0 })['protocols'], ['grpc', 'grpcs', 'http', 'https'])
})

test('null is accepted for all fields but the issuer and the three records', () => {
  const optional = Object.keys(schema.fields).filter((name) => schema.fields[name as keyof Config].options.required !== true)
  assert.equal(optional.length, 230)
  const nulls = Object.fromEntries(optional.map((name) => [name, null]))
  const config = complete(nulls)
  for (const name of optional) assert.equal(config[name as keyof Config], null, name)
})

test('GET /schemas answers plain JSON: what decK reads, without rules that are functions', () => {
  const answer = toKongSubschema(schema.subschema)
  assert.deepEqual(JSON.parse(JSON.stringify(answer)), answer)
  const config = (answer['fields'] as JsonObject[]).map((one) => one['config']).find((one) => one !== undefined) as Record<
    string,
    JsonObject[]
  >
  assert.equal(config['fields']?.length, 234)
  assert.equal(config['shorthand_fields']?.length, 32)
  const host = config['shorthand_fields']?.find((one) => Object.hasOwn(one, 'session_redis_host'))?.['session_redis_host']
  assert.deepEqual(host, {
    type: 'string',
    deprecation: {
      message: 'openid-connect: config.session_redis_host is deprecated, please use config.redis.host instead',
      removal_in_version: '4.0',
      replaced_with: [{ path: ['redis', 'host'] }],
    },
  })
})

test('secrets are marked, so that they lie encrypted and are never logged', () => {
  const secrets = {
    client_id: ['id-secret'],
    client_secret: ['cs-secret'],
    client_jwk: [{ kty: 'oct', k: 'jwk-secret' }],
    introspection_headers_names: ['x-key'],
    introspection_headers_values: ['header-secret'],
  }
  const shown = JSON.stringify(mapEncrypted(schema.fields, { ...complete(secrets) }, () => '***'))
  assert.equal(shown.includes('-secret'), false, shown)
  assert.equal(shown.includes('oct'), true)
})

// ------------------------------------------------------------------------------------------------------------------------------------ not built

const BUILT =
  `issuer using_pseudo_issuer discovery_headers_names discovery_headers_values extra_jwks_uris jwks_endpoint rediscovery_lifetime auth_methods
  client_id client_secret client_auth client_jwk client_alg client_arg forbidden_redirect_uri forbidden_error_message unauthorized_redirect_uri
  unauthorized_error_message unexpected_redirect_uri scopes audience issuers_allowed scopes_required scopes_claim audience_required audience_claim
  groups_required groups_claim roles_required roles_claim domains max_age authenticated_groups_claim token_endpoint token_endpoint_auth_method
  token_headers_names token_headers_values token_headers_client token_post_args_names token_post_args_values token_post_args_client introspection_endpoint
  introspection_endpoint_auth_method introspection_hint introspection_check_active introspection_accept introspection_headers_names
  introspection_headers_values introspection_headers_client introspection_post_args_names introspection_post_args_values introspection_post_args_client
  introspection_post_args_client_headers introspect_jwt_tokens jwt_session_claim jwt_session_cookie bearer_token_param_type bearer_token_cookie_name
  bearer_token_header_name password_param_type refresh_tokens upstream_headers_claims upstream_headers_names upstream_headers upstream_access_token_header
  upstream_access_token_jwk_header upstream_id_token_header upstream_id_token_jwk_header upstream_refresh_token_header upstream_introspection_header
  upstream_introspection_jwt_header downstream_headers_claims downstream_headers_names downstream_headers downstream_access_token_header
  downstream_access_token_jwk_header downstream_id_token_header downstream_id_token_jwk_header downstream_refresh_token_header
  downstream_introspection_header downstream_introspection_jwt_header consumer_claims consumer_by consumer_optional credential_claim anonymous
  run_on_preflight leeway verify_claims verify_signature ignore_signature enable_hs_signatures cache_ttl cache_ttl_max cache_ttl_min cache_ttl_neg
  cache_ttl_resurrect cache_tokens cache_tokens_salt cache_introspection hide_credentials keepalive ssl_verify timeout display_errors
  by_username_ignore_case expose_error_code token_cache_key_include_scope introspection_token_param_name claims_forbidden`.split(/\s+/)

test('a field either works or refuses everything but its default', () => {
  const built = Object.entries<Field>(schema.fields).filter(([, field]) => field.options.notBuilt === undefined)
  assert.deepEqual(
    built.map(([name]) => name),
    BUILT,
  )
})

test('what is not built accepts its default and null, and refuses all else with a text that names what is missing', () => {
  for (const [name, field] of Object.entries<Field>(schema.fields)) {
    if (field.options.notBuilt === undefined || field.kind === 'record') continue
    const standard = field.options.default ?? null
    assert.equal(violationsOf({ [name]: standard }), undefined, name)
    const violation = violationsOf({ [name]: otherThan(field, standard) })
    assert.deepEqual(violation?.[name], field.options.notBuilt, name)
    assert.match(field.options.notBuilt, /^.+ not available yet: only the default is accepted$/)
  }
})

/** A value of the right type that is not `standard`. */
function otherThan(field: Field, standard: unknown): unknown {
  const choice = (field.options.oneOf ?? field.elements?.options.oneOf)?.find(
    (one) => one !== standard && one !== (standard as unknown[] | null)?.[0],
  )
  if (field.kind === 'boolean') return standard !== true
  if (field.kind === 'number' || field.kind === 'integer') return choice ?? Number(standard) + 1
  const text =
    choice ?? (field.options.startsWith !== undefined ? '/other' : field.options.uuid ? crypto.randomUUID() : 'https://other.example/')
  return field.elements === undefined ? text : [text]
}

test('a vault reference is no way around that', () => {
  assert.deepEqual(violationsOf({ session_secret: '{vault://env/session-secret}' }), {
    session_secret: 'sessions are not available yet: only the default is accepted',
  })
  assert.deepEqual(violationsOf({ redis: { password: '{vault://env/redis}' } }), {
    redis: 'sessions are not available yet: only the default is accepted',
  })
})

test('a record that is not built must equal its defaults as a whole', () => {
  assert.equal(violationsOf({ redis: { host: '127.0.0.1', port: 6379, prefix: null }, principals: { enabled: false } }), undefined)
  assert.equal(violationsOf({ redis: null, principals: null, cluster_cache_redis: null, token_exchange: null }), undefined)
  assert.deepEqual(violationsOf({ cluster_cache_redis: { host: 'redis.example' } }), {
    cluster_cache_redis: 'the shared cache is not available yet: only the default is accepted',
  })
  assert.deepEqual(violationsOf({ token_exchange: { subject_token_issuers: [{ issuer: 'https://other.example' }] } }), {
    token_exchange: 'token exchange is not available yet: only the default is accepted',
  })
})

test("Kong's list of auth_methods is accepted as it is; in a list of one's own each method must work", () => {
  assert.equal(violationsOf({ auth_methods: [...AUTH_METHODS] }), undefined)
  assert.equal(violationsOf({ auth_methods: ['password', 'bearer', 'introspection'] }), undefined)
  assert.equal(violationsOf({ auth_methods: [] }), undefined)
  assert.deepEqual(violationsOf({ auth_methods: ['bearer', 'authorization_code', 'introspection', 'session', 'password'] }), {
    auth_methods: [null, 'authorization_code is not available yet', null, 'session is not available yet'],
  })
  assert.deepEqual(violationsOf({ auth_methods: ['bearer', 'magic'] }), {
    auth_methods: [null, `expected one of: ${AUTH_METHODS.join(', ')}`],
  })
})

test('client authentication by certificate is refused by name', () => {
  const working = ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none']
  assert.equal(violationsOf({ client_auth: working }), undefined)
  assert.deepEqual(
    violationsOf({ client_auth: ['none', 'tls_client_auth'], introspection_endpoint_auth_method: 'self_signed_tls_client_auth' }),
    {
      client_auth: [null, 'tls_client_auth is not available yet'],
      introspection_endpoint_auth_method: 'self_signed_tls_client_auth is not available yet',
    },
  )
})

// --------------------------------------------------------------------------------------------------------------------------------------- checks

test('the issuer is a URL unless it is a pseudo issuer or lies in a vault', () => {
  assert.deepEqual(violationsOf({ issuer: 'accounts' }), { issuer: 'missing scheme in url' })
  assert.equal(violationsOf({ issuer: 'accounts', using_pseudo_issuer: true }), undefined)
  assert.equal(violationsOf({ issuer: '{vault://env/issuer}' }), undefined)
})

test('lists that belong together come together and have one length', () => {
  assert.deepEqual(violationsOf({ upstream_headers_claims: ['sub'] }), {
    '@entity': ["all or none of these fields must be set: 'upstream_headers_claims', 'upstream_headers_names'"],
  })
  assert.deepEqual(violationsOf({ downstream_headers_claims: ['sub', 'iss'], downstream_headers_names: ['x-sub'] }), {
    '@entity': ["these fields must have the same number of elements: 'downstream_headers_claims', 'downstream_headers_names'"],
  })
  for (const prefix of ['discovery_headers', 'token_headers', 'token_post_args', 'introspection_headers', 'introspection_post_args']) {
    const [names, values] = [`${prefix}_names`, `${prefix}_values`]
    assert.equal(violationsOf({ [names]: ['a', 'b'], [values]: ['1', '2'] }), undefined)
    assert.deepEqual(violationsOf({ [names]: ['a'], [values]: ['1', '2'] }), {
      '@entity': [`these fields must have the same number of elements: '${names}', '${values}'`],
    })
    assert.deepEqual(violationsOf({ [names]: ['a'] }), {
      '@entity': [`these fields must have the same number of elements: '${names}', '${values}'`],
    })
  }
})

test('a bearer token in a cookie needs the name of the cookie', () => {
  assert.deepEqual(violationsOf({ bearer_token_param_type: ['cookie'] }), { bearer_token_cookie_name: 'required field missing' })
  assert.equal(violationsOf({ bearer_token_param_type: ['cookie'], bearer_token_cookie_name: 'token' }), undefined)
})

test('Redis members that belong together come together, and a proxied connection has no Redis topology of its own', () => {
  for (const record of ['redis', 'cluster_cache_redis']) {
    const of = (redis: JsonObject) => violationsOf({ [record]: redis })?.[record]
    assert.deepEqual(of({ host: null }), { '@entity': ["all or none of these fields must be set: 'host', 'port'"] })
    assert.deepEqual(of({ sentinel_master: 'm' }), {
      '@entity': ["all or none of these fields must be set: 'sentinel_master', 'sentinel_role', 'sentinel_nodes'"],
    })
    assert.deepEqual(of({ connection_is_proxied: true, host: null, port: null }), {
      '@entity': ["failed conditional validation given value of field 'connection_is_proxied'"],
      host: 'required field missing',
    })
    assert.deepEqual(of({ connection_is_proxied: true, database: 1, cluster_nodes: [{}] }), {
      '@entity': ['a proxied connection has only database 0', 'cluster_nodes cannot be used with a proxied connection'],
    })
    assert.deepEqual(of({ host: 'redis:6379', server_name: 'a b', port: 65_536 }), {
      host: 'must not have a port',
      server_name: 'invalid value: a b',
      port: 'value should be between 0 and 65535',
    })
    assert.match(String(of({ host: '::1' })), /not available yet/)
  }
})

test('principals need a service that this gateway does not have', () => {
  assert.deepEqual(violationsOf({ principals: { enabled: true, principal_by: 'employee' } }), {
    principals: {
      enabled: 'needs the Konnect service Kong Identity, which this gateway cannot reach',
      principal_claim: 'required field missing',
    },
  })
})

test('token exchange contradicts itself nowhere', () => {
  const entry = { issuer: 'https://other.example', jwks_uri: 'https://other.example/jwks' }
  assert.deepEqual(violationsOf({ token_exchange: { subject_token_issuers: [entry], request: { empty_scopes: true, scopes: ['a'] } } }), {
    token_exchange: {
      subject_token_issuers: [{ jwks_uri: 'is used only when verify_signature is true' }],
      request: { scopes: 'cannot be used with empty_scopes' },
    },
  })
  assert.deepEqual(violationsOf({ token_exchange: {} }), { token_exchange: { subject_token_issuers: 'required field missing' } })
  assert.deepEqual(violationsOf({ token_exchange: { subject_token_issuers: [] } }), {
    token_exchange: { subject_token_issuers: 'length must be at least 1' },
  })
})

/** Rules about fields that are not built are not reached by a configuration yet; they are judged on their own. */
function runCheck(field: string, config: JsonObject): unknown {
  const found = schema.config.checks?.filter((check) => check.kind === 'custom' && check.fields.includes(field)) ?? []
  return found.map((check) => (check.kind === 'custom' ? check.run({ ...minimal, ...config }) : undefined)).find((one) => one !== undefined)
}

test("the target issuer's own tokens are exchanged only under conditions, others unconditionally", () => {
  const of = (...entries: JsonObject[]) => runCheck('token_exchange', { token_exchange: { subject_token_issuers: entries } })
  const conditions = { has_scopes: ['a'], has_audience: null }
  assert.equal(of({ issuer: 'https://other.example' }, { issuer: minimal.issuer, conditions }), undefined)
  assert.deepEqual(of({ issuer: 'https://other.example' }, { issuer: minimal.issuer, conditions: { has_scopes: null } }), {
    token_exchange: { subject_token_issuers: [null, { conditions: 'must be present for config.issuer' }] },
  })
  assert.deepEqual(of({ issuer: 'https://other.example', conditions }), {
    token_exchange: { subject_token_issuers: [{ conditions: 'must be absent for an issuer other than config.issuer' }] },
  })
  assert.deepEqual(of({ issuer: minimal.issuer, conditions, verify_signature: true }), {
    token_exchange: { subject_token_issuers: [{ verify_signature: 'must be empty or false for config.issuer' }] },
  })
})

test('proof of possession goes only with methods whose tokens can be bound', () => {
  const of = (auth_methods: string[], mode = 'strict', validation = true) =>
    runCheck('proof_of_possession_dpop', {
      auth_methods,
      proof_of_possession_dpop: mode,
      proof_of_possession_auth_methods_validation: validation,
    })
  assert.equal(of(['bearer', 'introspection', 'session']), undefined)
  assert.deepEqual(of(['bearer', 'password']), {
    '@entity': ['proof of possession supports only these auth_methods: bearer, introspection, session'],
  })
  assert.deepEqual(of(['session'], 'optional'), {
    '@entity': ['proof of possession needs bearer or introspection beside session in auth_methods'],
  })
  assert.equal(of(['password'], 'off'), undefined)
  assert.equal(of(['password'], 'strict', false), undefined)
})

test('a method that presents a certificate needs one', () => {
  assert.deepEqual(runCheck('tls_client_auth_cert_id', { client_auth: ['tls_client_auth'] }), {
    tls_client_auth_cert_id: 'required field missing',
  })
  assert.equal(runCheck('tls_client_auth_cert_id', { client_auth: ['none'] }), undefined)
})

// ----------------------------------------------------------------------------------------------------------------------------------- older names

test('a moved name fills its replacement where that is absent or null', () => {
  assert.equal(complete({ session_redis_host: '127.0.0.1' }).redis.host, '127.0.0.1')
  assert.equal('session_redis_host' in complete({ session_redis_host: '127.0.0.1' }), false)
  assert.equal(violationsOf({ session_redis_host: '127.0.0.1', redis: { host: null } }), undefined)
  assert.deepEqual(violationsOf({ session_redis_host: 'redis.example' }), {
    redis: 'sessions are not available yet: only the default is accepted',
  })
})

test('both names with different values are a violation under the older name; null never clashes', () => {
  assert.deepEqual(violationsOf({ session_redis_host: 'a.example', redis: { host: 'b.example' } }), {
    session_redis_host:
      'both deprecated and new field are used but their values mismatch: session_redis_host = a.example vs redis.host = b.example',
  })
  assert.deepEqual(violationsOf({ redis: { timeout: 2000, read_timeout: 1000 } }), {
    redis: { timeout: 'both deprecated and new field are used but their values mismatch: timeout = 2000 vs read_timeout = 1000' },
  })
  assert.equal(violationsOf({ session_redis_host: null, redis: { host: '127.0.0.1' } }), undefined)
  assert.equal(violationsOf({ session_redis_host: '127.0.0.1', redis: { host: '127.0.0.1' } }), undefined)
})

test('a mismatch of passwords repeats neither', () => {
  const text = JSON.stringify(violationsOf({ session_redis_password: 's3cret-a', redis: { password: 's3cret-b' } }))
  assert.match(text, /session_redis_password = \*\*\* vs redis\.password = \*\*\*/)
  assert.equal(text.includes('s3cret'), false)
})

test('an older name is checked by its own type, and a record of the wrong type keeps its own error', () => {
  assert.deepEqual(violationsOf({ session_redis_port: '6379' }), { session_redis_port: 'expected an integer' })
  assert.deepEqual(violationsOf({ session_redis_port: 6379, redis: 'x' }), { redis: 'expected a record' })
})

test('the oldest names fill their replacement silently, with their own conversions', () => {
  const of = (config: JsonObject) => mergePatch(entity, { config: {} }, { config })['config']
  assert.deepEqual(of({ session_cookie_lifetime: 60 }), { session_rolling_timeout: 60 })
  assert.deepEqual(of({ session_cookie_lifetime: 60, session_rolling_timeout: 90 }), { session_rolling_timeout: 90 })
  assert.deepEqual(of({ session_cookie_samesite: 'off' }), { session_cookie_same_site: 'Lax' })
  assert.deepEqual(of({ session_cookie_samesite: 'Strict' }), { session_cookie_same_site: 'Strict' })
  assert.deepEqual(of({ session_cookie_idletime: null }), { session_idling_timeout: 0 })
  assert.deepEqual(of({ session_memcache_port: 11_212 }), { session_memcached_port: 11_212 })
  assert.deepEqual(of({ session_redis_auth: 'x' }), { redis: { password: 'x' } })
  assert.deepEqual(of({ session_redis_auth: 'x', session_redis_password: 'y' }), { redis: { password: 'y' } })
  assert.deepEqual(
    of({ session_cookie_renew: 600, session_strategy: 'default', session_compressor: 'none', session_cookie_maxsize: 4000 }),
    {},
  )
})

test('one timeout stands for three, addresses for nodes', () => {
  const of = (redis: JsonObject) => (mergePatch(entity, { config: {} }, { config: { redis } })['config'] as JsonObject)['redis']
  assert.deepEqual(of({ timeout: 100 }), { connect_timeout: 100, send_timeout: 100, read_timeout: 100 })
  assert.deepEqual(of({ sentinel_addresses: ['s1.example:26379', '[::1]:26380'] }), {
    sentinel_nodes: [
      { host: 's1.example', port: 26_379 },
      { host: '::1', port: 26_380 },
    ],
  })
  assert.deepEqual(of({ cluster_addresses: ['10.0.0.1:7000'] }), { cluster_nodes: [{ ip: '10.0.0.1', port: 7000 }] })
  assert.deepEqual(violationsOf({ redis: { cluster_addresses: ['a:1', 'b', 'c:65536'] } }), {
    redis: { cluster_addresses: [null, 'expected host:port', 'expected host:port'] },
  })
  assert.equal(violationsOf({ redis: { timeout: 2000, connect_timeout: 2000 } }), undefined)
})

test('moved names are echoed, older ones are not, and an answer can be sent back as it is', () => {
  const config = complete({ consumer_claims: [['sub'], ['azp']] })
  const answer = withEchoes(schema.subschema.fields, { config })['config'] as Record<string, JsonObject>
  assert.equal(answer['session_redis_host'], '127.0.0.1')
  assert.equal(answer['session_redis_cluster_nodes'], null)
  assert.deepEqual(answer['consumer_claim'], ['sub'])
  assert.equal(answer['redis']?.['timeout'], 2000)
  assert.equal(answer['redis']?.['sentinel_addresses'], null)
  assert.equal('session_cookie_lifetime' in answer, false)
  assert.equal('session_redis_auth' in answer, false)
  assert.deepEqual(complete(answer), config)
  const nodes = { redis: { sentinel_nodes: [{ host: '::1', port: 1 }], cluster_nodes: [{ ip: 'a', port: null }] } }
  const shown = withEchoes(schema.fields, nodes)['redis'] as JsonObject
  assert.deepEqual([shown['sentinel_addresses'], shown['cluster_addresses']], [['[::1]:1'], ['a:6379']])
})

test('consumer_claim is one path: the first of consumer_claims', () => {
  assert.deepEqual(complete({ consumer_claim: ['realm', 'user'] }).consumer_claims, [['realm', 'user']])
  assert.deepEqual(complete({ consumer_claim: ['sub'], consumer_claims: [['sub'], ['azp']] }).consumer_claims, [['sub'], ['azp']])
  assert.deepEqual(complete({ consumer_claim: null }).consumer_claims, null)
  assert.deepEqual(violationsOf({ consumer_claim: ['sub'], consumer_claims: [['azp']] }), {
    consumer_claim:
      'both deprecated and new field are used but their values mismatch: consumer_claim = ["sub"] vs consumer_claims = ["azp"]',
  })
  // A client must not copy the one to the other: their shapes differ.
  assert.equal(schema.config.shorthands?.['consumer_claim']?.replacedWith, undefined)
})

test('a PATCH with an older name changes only its replacement', () => {
  const stored = completeEntity(entity, { config: { ...minimal, consumer_claims: [['sub']] } }, { nowS: 0 })
  const patched = patch(stored, { consumer_claim: ['azp'] })
  assert.deepEqual(patched, { ...(stored['config'] as Config), consumer_claims: [['azp']] })
})

test('the example of the reference page is valid', () => {
  const file = parse(readFileSync(join(import.meta.dirname, 'example.yaml'), 'utf8')) as {
    services: [{ plugins: [{ name: string; config: JsonObject }] }]
  }
  const [{ name, config }] = file.services[0].plugins
  assert.equal(name, schema.name)
  assert.equal(violationsOf(config), undefined)
})
