import { field } from '../../schema/field.ts'
import { redisChecks, redisCloudAuthentication, redisConnection, redisSessionKeys, redisShorthands } from './schema-redis.ts'
import { later, NO_EMPTY_SEGMENTS, SAME_SITE, SESSION_PROPERTIES } from './schema-terms.ts'

/** Sessions of browser users. */
export const sessionFields = {
  // Content
  session_secret: field.string({
    referenceable: true,
    encrypted: true,
    notBuilt: later.sessions,
    description:
      'Key material for session and authorization cookies and stored session data; must be equal on all nodes. A 32-byte value is used as the key itself, others are hashed.',
  }),
  session_audience: field.string({
    default: 'default',
    notBuilt: later.sessions,
    description: 'Application name inside the session; sessions of another audience in the same cookie are not accepted.',
  }),
  session_cookie_name: field.string({ default: 'session', notBuilt: later.sessions, description: 'Name of the session cookie.' }),

  // Lifetime
  session_remember: field.boolean({
    default: false,
    notBuilt: later.sessions,
    description: 'Adds a persistent second cookie that can re-create an expired session.',
  }),
  session_remember_cookie_name: field.string({
    default: 'remember',
    notBuilt: later.sessions,
    description: 'Name of the persistent cookie.',
  }),
  session_remember_rolling_timeout: field.number({
    default: 604_800,
    unit: 's',
    notBuilt: later.sessions,
    description: 'Seconds until the persistent cookie must be renewed; 0 disables the check.',
  }),
  session_remember_absolute_timeout: field.number({
    default: 2_592_000,
    unit: 's',
    notBuilt: later.sessions,
    description: 'Seconds after which a persistent session cannot be renewed any more; 0 disables the check.',
  }),
  session_idling_timeout: field.number({
    default: 900,
    unit: 's',
    notBuilt: later.sessions,
    description: 'Seconds of inactivity after which a session is invalid; 0 disables the check and activity tracking.',
  }),
  session_rolling_timeout: field.number({
    default: 3600,
    unit: 's',
    notBuilt: later.sessions,
    description: 'Seconds for which a session is usable before it must be renewed; 0 disables the check and renewal.',
  }),
  session_absolute_timeout: field.number({
    default: 86_400,
    unit: 's',
    notBuilt: later.sessions,
    description: 'Seconds after which re-authentication is unavoidable; 0 disables the check.',
  }),

  // Cookie
  session_cookie_path: field.string({
    default: '/',
    startsWith: '/',
    matchNone: NO_EMPTY_SEGMENTS,
    notBuilt: later.sessions,
    description: 'Path attribute of the session cookie.',
  }),
  session_cookie_domain: field.string({ notBuilt: later.sessions, description: 'Domain attribute of the session cookie.' }),
  session_cookie_same_site: field.string({
    default: 'Lax',
    oneOf: SAME_SITE,
    notBuilt: later.sessions,
    description: 'SameSite attribute of the session cookie; `Default` omits the attribute.',
  }),
  session_cookie_http_only: field.boolean({
    default: true,
    notBuilt: later.sessions,
    description: 'Whether the session cookie carries HttpOnly.',
  }),
  session_cookie_secure: field.boolean({
    notBuilt: later.sessions,
    description: 'Whether the session cookie carries Secure; null derives it from the request scheme.',
  }),
  session_bind: field.set({
    elements: field.string({ oneOf: ['ip', 'scheme', 'user-agent'] }),
    notBuilt: later.sessions,
    description:
      "Request properties mixed into the session's authentication tag, so that a stolen cookie fails from another ip, scheme or user agent.",
  }),

  // Headers
  session_request_headers: field.set({
    elements: field.string({ oneOf: SESSION_PROPERTIES }),
    notBuilt: later.sessions,
    description: 'Session properties sent upstream as `Session-<Name>` request headers.',
  }),
  session_response_headers: field.set({
    elements: field.string({ oneOf: SESSION_PROPERTIES }),
    notBuilt: later.sessions,
    description: 'Session properties returned to the caller as `Session-<Name>` response headers.',
  }),

  // Storage
  session_storage: field.string({
    default: 'cookie',
    oneOf: ['cookie', 'memcache', 'memcached', 'redis'],
    notBuilt: later.sessions,
    description: 'Where session data lives: inside the cookie, in memcached (two spellings) or in Redis (`config.redis`).',
  }),
  session_store_metadata: field.boolean({
    default: false,
    notBuilt: later.sessions,
    description: 'Keeps an index of active sessions per audience and subject in the external store.',
  }),
  session_enforce_same_subject: field.boolean({
    default: false,
    notBuilt: later.sessions,
    description: 'Requires all audiences in one session cookie to have the same subject.',
  }),
  session_hash_subject: field.boolean({ default: false, notBuilt: later.sessions, description: 'Hashes the subject in stored metadata.' }),
  session_hash_storage_key: field.boolean({
    default: false,
    notBuilt: later.sessions,
    description: 'Hashes the session id before it is used as the storage key.',
  }),
  session_memcached_prefix: field.string({ notBuilt: later.sessions, description: 'Prefix of memcached keys.' }),
  session_memcached_socket: field.string({ notBuilt: later.sessions, description: 'Unix socket of memcached; wins over host and port.' }),
  session_memcached_host: field.string({
    default: '127.0.0.1',
    notBuilt: later.sessions,
    description: 'Host name or address of the memcached server.',
  }),
  session_memcached_port: field.integer({
    default: 11_211,
    between: [0, 65_535],
    notBuilt: later.sessions,
    description: 'TCP port of the memcached server.',
  }),
  session_memcached_ssl: field.boolean({ notBuilt: later.sessions, description: 'Connects to memcached over TLS.' }),
  session_memcached_ssl_verify: field.boolean({
    default: true,
    notBuilt: later.sessions,
    description: 'Verifies the memcached server certificate.',
  }),
  redis: field.record({
    required: true,
    notBuilt: later.sessions,
    fields: { ...redisConnection, ...redisSessionKeys, ...redisCloudAuthentication },
    shorthands: redisShorthands('redis'),
    checks: redisChecks,
    description: 'Redis connection for session data (`session_storage: redis`).',
  }),

  // Checks
  reverify: field.boolean({
    default: false,
    notBuilt: later.sessions,
    description: 'Re-verifies signature and claims of tokens held in a session on every request.',
  }),
  jwt_session_claim: field.string({
    default: 'sid',
    description: 'Claim of a bearer JWT that must equal the cookie named by `jwt_session_cookie`.',
  }),
  jwt_session_cookie: field.string({ description: 'Name of the cookie compared with `jwt_session_claim`; null disables the check.' }),
}
