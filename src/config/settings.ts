import { isIP } from 'node:net'
import * as kind from './setting.ts'
import { setting, type ValueOf } from './setting.ts'

const general = {
  prefix: setting(kind.path, {
    default: './sallyport-data',
    description: 'Data directory: database, key file, process id, logs. Relative to the working directory.',
  }),
  node_id: setting(kind.string, {
    description: 'UUID of this node; unset, one is made at the first start and kept in the data directory.',
  }),
  role: setting(kind.oneOf('traditional', 'control_plane', 'data_plane'), {
    default: 'traditional',
    description: 'Part that this node plays. Only `traditional` is available yet.',
  }),
  plugins: setting(kind.namesOrOff, {
    default: 'bundled',
    description: 'Plugins that entities may use: `bundled`, names, or `off`.',
  }),
  plugins_dir: setting(kind.path, { description: "Folder with plugins of one's own, one folder each." }),
  vaults: setting(kind.namesOrOff, { default: 'bundled', description: 'Vaults that references may use: `bundled`, names, or `off`.' }),
  vault_env_prefix: setting(kind.string, { description: 'Put before the name of the variable that `{vault://env/name}` reads.' }),
  nginx_daemon: setting(kind.boolean, {
    default: 'on',
    aliases: ['nginx_main_daemon'],
    description: '`off` keeps `start` in the foreground, as containers and service managers want it.',
  }),
  nginx_worker_processes: setting(kind.integerOrAuto({ min: 1, max: 1024 }), {
    default: 'auto',
    aliases: ['nginx_main_worker_processes'],
    description: 'Processes that serve the proxy listeners; `auto` is one per processor core.',
  }),
}

const LOG_LEVELS = ['debug', 'info', 'notice', 'warn', 'error', 'crit', 'alert', 'emerg'] as const

const logs = {
  log_level: setting(kind.oneOf(...LOG_LEVELS), { default: 'notice', description: 'Least severe level that is logged.' }),
  proxy_access_log: setting(kind.logFile, {
    default: 'logs/access.log',
    description: 'One line per proxied request: a file relative to the prefix, `/dev/stdout` or `off`.',
  }),
  proxy_error_log: setting(kind.logFile, { default: 'logs/error.log', description: 'What goes wrong while proxying.' }),
  admin_access_log: setting(kind.logFile, { default: 'logs/admin_access.log', description: 'One line per Admin API request.' }),
  admin_error_log: setting(kind.logFile, { default: 'logs/error.log', description: 'What goes wrong in the Admin API.' }),
  status_access_log: setting(kind.logFile, { default: 'off', description: 'One line per Status API request.' }),
  status_error_log: setting(kind.logFile, { default: 'logs/status_error.log', description: 'What goes wrong in the Status API.' }),
}

const listening = {
  proxy_listen: setting(kind.listeners, {
    default: '0.0.0.0:8000 reuseport backlog=16384, 0.0.0.0:8443 http2 ssl reuseport backlog=16384',
    description:
      'Where clients connect: comma list of `ip:port [ssl] [http2] [proxy_protocol] [backlog=N] …`, or `off`. Port 0 lets the system choose.',
  }),
  admin_listen: setting(kind.listeners, {
    default: '127.0.0.1:8001 reuseport backlog=16384, 127.0.0.1:8444 http2 ssl reuseport backlog=16384',
    description: 'Where the Admin API listens. Other addresses than loopback need `admin_token` or `admin_insecure = on`.',
  }),
  admin_token: setting(kind.secret, { description: 'Secret that every Admin API request must bring.' }),
  admin_insecure: setting(kind.boolean, {
    default: 'off',
    description: '`on` lets the Admin API listen on any address without a token: something else must protect it.',
  }),
  admin_gui_url: setting(kind.list, {
    default: '',
    description: 'Origins that a browser may call the Admin API from. Unset, every origin may.',
  }),
  status_listen: setting(kind.listeners, {
    default: '127.0.0.1:8007 reuseport backlog=16384',
    description: 'Where health and readiness are served.',
  }),
  stream_listen: setting(kind.string, { default: 'off', description: 'TCP and UDP proxying is not available: only `off`.' }),
  port_maps: setting(
    kind.listOf(
      (item) => (isPortMap(item) ? item : null),
      (_name, item) => `invalid port mapping (\`port_maps\`): ${item}`,
    ),
    { default: '', description: 'Ports that clients see for ports we listen on, as `443:8443` pairs.' },
  ),
}

/** Versions of TLS that a listener can be told to speak. */
const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const

/** Certificate and key of one kind of listener. */
function ownCertificate(listeners: string, certificate: string, names: string) {
  return [
    setting(kind.certificateList, {
      default: '',
      description: `Certificate of ${listeners}: a file, PEM text or its base64; a comma list gives one per kind of key (RSA, ECDSA). Unset, \`${names}\` in \`ssl/\` of the prefix are made at the first start.`,
    }),
    setting(kind.privateKeyList, { default: '', description: `Private keys of \`${certificate}\`, in the same order.` }),
  ] as const
}

const [ssl_cert, ssl_cert_key] = ownCertificate('TLS listeners, where no SNI decides', 'ssl_cert', 'kong-default*')
const [admin_ssl_cert, admin_ssl_cert_key] = ownCertificate('the Admin API', 'admin_ssl_cert', 'admin-kong-default*')
const [status_ssl_cert, status_ssl_cert_key] = ownCertificate('the Status API', 'status_ssl_cert', 'status-kong-default*')

const tls = {
  ssl_cert,
  ssl_cert_key,
  ssl_cipher_suite: setting(kind.oneOf('modern', 'intermediate', 'old', 'fips', 'custom'), {
    default: 'intermediate',
    description:
      'Versions and ciphers as Mozilla recommends them: `modern` is TLS 1.3, `intermediate` TLS 1.2 and 1.3, `old` everything since 1.0; `custom` takes the next three settings. `fips` is not available.',
  }),
  ssl_ciphers: setting(kind.string, { description: "OpenSSL's list of ciphers; only with `ssl_cipher_suite = custom`." }),
  ssl_protocols: setting(kind.words(...TLS_VERSIONS), {
    default: 'TLSv1.2 TLSv1.3',
    aliases: ['nginx_http_ssl_protocols', 'nginx_proxy_ssl_protocols'],
    description: 'Versions of TLS, separated by spaces; only with `ssl_cipher_suite = custom`.',
  }),
  ssl_prefer_server_ciphers: setting(kind.boolean, {
    default: 'on',
    aliases: ['nginx_http_ssl_prefer_server_ciphers', 'nginx_proxy_ssl_prefer_server_ciphers'],
    description: '`on` takes the first of our ciphers that the client knows; only with `ssl_cipher_suite = custom`.',
  }),
  ssl_session_tickets: setting(kind.boolean, {
    default: 'on',
    aliases: ['nginx_http_ssl_session_tickets', 'nginx_proxy_ssl_session_tickets'],
    description:
      'Whether a client may resume a session: at any worker, until the key of the tickets changes (once in `ssl_session_timeout`).',
  }),
  ssl_session_timeout: setting(kind.duration, {
    default: '1d',
    aliases: ['nginx_http_ssl_session_timeout', 'nginx_proxy_ssl_session_timeout'],
    description: 'Time for which a session may be resumed.',
  }),
  admin_ssl_cert,
  admin_ssl_cert_key,
  status_ssl_cert,
  status_ssl_cert_key,
}

const storage = {
  database: setting(kind.oneOf('sqlite', 'off', 'postgres'), {
    default: 'sqlite',
    description:
      'Where entities live: `sqlite` in the data directory, or `off` for a declarative file in memory. `postgres` is not available yet.',
  }),
  declarative_config: setting(kind.path, { description: 'Declarative file to load when `database = off`.' }),
  declarative_config_string: setting(kind.secret, {
    description: 'Declarative configuration as text; `declarative_config` wins over it.',
  }),
  keyring_file: setting(kind.pathInPrefix, {
    default: 'keyring.key',
    description: 'Key that encrypts secret fields in the database (AES-256-GCM). Made at the first start; relative to the prefix.',
  }),
}

const routing = {
  router_flavor: setting(kind.oneOf('traditional_compatible', 'traditional', 'expressions'), {
    default: 'traditional_compatible',
    description: 'How routes match. Only `traditional_compatible` is available yet.',
  }),
  route_match_calculation: setting(kind.oneOf('original', 'strict'), {
    default: 'original',
    description: "Order of routes that match alike: as Kong computes it (`original`), or as Kong's manual says (`strict`).",
  }),
  strict_paths: setting(kind.boolean, {
    default: 'off',
    description: '`on` refuses paths with a dot segment hidden behind an encoded slash (`..%2F`) with 400.',
  }),
}

const headers = {
  headers: setting(
    kind.tokens(
      'server_tokens',
      'latency_tokens',
      'server',
      'via',
      'x-kong-upstream-latency',
      'x-kong-proxy-latency',
      'x-kong-response-latency',
      'x-kong-admin-latency',
      'x-kong-upstream-status',
      'x-kong-request-id',
      'x-kong-total-latency',
      'x-kong-third-party-latency',
      'x-kong-client-latency',
    ),
    { default: 'server_tokens, latency_tokens, x-kong-request-id', description: 'Headers that we add to responses.' },
  ),
  headers_upstream: setting(kind.tokens('x-kong-request-id'), {
    default: 'x-kong-request-id',
    description: 'Headers that we add to requests on their way to the upstream.',
  }),
  trusted_ips: setting(
    kind.listOf(
      (item) => (item === 'unix:' || isAddressBlock(item) ? item : null),
      (name, item) => `${name} must be a comma separated list in the form of IPv4 or IPv6 address or CIDR block or 'unix:', got '${item}'`,
    ),
    { default: '', description: 'Peers whose `X-Forwarded-*` and `real_ip_header` are believed: addresses and CIDR blocks.' },
  ),
  real_ip_header: setting(kind.string, {
    default: 'X-Real-IP',
    aliases: ['nginx_proxy_real_ip_header'],
    description: "Header in which a trusted peer tells the client's address; `proxy_protocol` is the header of the PROXY protocol instead.",
  }),
  real_ip_recursive: setting(kind.boolean, {
    default: 'off',
    aliases: ['nginx_proxy_real_ip_recursive'],
    description: '`on` takes the last address of the header that is not trusted, `off` simply the last.',
  }),
  trusted_identity_headers: setting(kind.boolean, {
    default: 'off',
    description: '`on` lets identity headers of the client (`X-Consumer-*`, `X-Credential-*`) pass: only behind another gateway.',
  }),
  error_default_type: setting(kind.oneOf('application/json', 'application/xml', 'text/html', 'text/plain'), {
    default: 'text/plain',
    description: 'Media type of our error bodies when the client names none.',
  }),
}

const limits = {
  client_max_body_size: setting(kind.size, {
    default: '0',
    aliases: ['nginx_http_client_max_body_size', 'nginx_proxy_client_max_body_size'],
    description: 'Largest request body; 0 is no limit. A larger one gets 413.',
  }),
  nginx_admin_client_max_body_size: setting(kind.size, { default: '10m', description: 'Largest request body of the Admin API.' }),
  client_body_buffer_size: setting(kind.size, {
    default: '8k',
    aliases: ['nginx_http_client_body_buffer_size', 'nginx_proxy_client_body_buffer_size'],
    description: 'Part of a request body that plugins may read and that a retry may send again.',
  }),
  large_client_header_buffers: setting(kind.buffers, {
    default: '4 8k',
    aliases: ['nginx_http_large_client_header_buffers', 'nginx_proxy_large_client_header_buffers'],
    description: 'One request line or header line may take one buffer, the whole head all of them.',
  }),
  client_header_timeout: setting(kind.duration, {
    default: '60s',
    aliases: ['nginx_http_client_header_timeout', 'nginx_proxy_client_header_timeout'],
    description: 'Time for the whole head of a request, from its first byte.',
  }),
  client_body_timeout: setting(kind.duration, {
    default: '60s',
    aliases: ['nginx_http_client_body_timeout', 'nginx_proxy_client_body_timeout'],
    description: 'Time between two reads of a request body.',
  }),
  send_timeout: setting(kind.duration, {
    default: '60s',
    aliases: ['nginx_http_send_timeout', 'nginx_proxy_send_timeout'],
    description: 'Time between two writes of a response.',
  }),
  keepalive_timeout: setting(kind.duration, {
    default: '75s',
    aliases: ['nginx_http_keepalive_timeout', 'nginx_proxy_keepalive_timeout'],
    description: 'Time that an idle client connection stays open.',
  }),
  keepalive_requests: setting(kind.integer({ min: 1 }), {
    default: '10000',
    aliases: ['nginx_http_keepalive_requests', 'nginx_proxy_keepalive_requests'],
    description: 'Requests after which a client connection is closed.',
  }),
  nginx_events_worker_connections: setting(kind.integerOrAuto({ min: 1, max: 1_048_576 }), {
    default: 'auto',
    description:
      'Client connections of one worker at a time, and requests under way. What is beyond gets 503 or is closed at once. `auto` is 16384, less where few files may be open.',
  }),
  http2_max_concurrent_streams: setting(kind.integer({ min: 1, max: 1000 }), {
    default: '128',
    aliases: ['nginx_http_http2_max_concurrent_streams', 'nginx_proxy_http2_max_concurrent_streams'],
    description: 'Requests under way at a time on one HTTP/2 connection of a client.',
  }),
  lingering_timeout: setting(kind.duration, {
    default: '5s',
    aliases: ['nginx_http_lingering_timeout', 'nginx_proxy_lingering_timeout'],
    description: 'Time that the rest of a refused body is read and thrown away.',
  }),
}

const upstreams = {
  upstream_keepalive_pool_size: setting(kind.integer({ min: 0 }), {
    default: '512',
    description: 'Idle connections kept per upstream and worker; 0 keeps none.',
  }),
  upstream_keepalive_max_requests: setting(kind.integer({ min: 0 }), {
    default: '10000',
    description: 'Requests after which an upstream connection is closed; 0 is no limit.',
  }),
  upstream_keepalive_idle_timeout: setting(kind.number({ min: 0 }), {
    default: '60',
    unit: 's',
    description: 'Time that an idle upstream connection is kept; 0 is no limit.',
  }),
  nginx_proxy_proxy_ssl_verify: setting(kind.boolean, {
    default: 'off',
    aliases: ['nginx_http_proxy_ssl_verify'],
    description: 'Whether the certificate of an upstream is verified when its service does not say (`tls_verify`).',
  }),
  nginx_proxy_early_hints: setting(kind.condition, {
    default: 'off',
    aliases: ['nginx_http_early_hints'],
    description:
      'Whether 103 Early Hints of an upstream are passed on, to clients of HTTP/1.1 and HTTP/2. `off` and `0` are off, `on` and every other value are on; variables of nginx are refused.',
  }),
  client_ssl: setting(kind.boolean, {
    default: 'off',
    description: 'Whether upstreams are shown a client certificate when their service has none of its own (`client_certificate`).',
  }),
  client_ssl_cert: setting(kind.certificate, { description: 'That certificate: a file, PEM text, or its base64.' }),
  client_ssl_cert_key: setting(kind.privateKey, { description: 'Its key: a file, PEM text, or its base64.' }),
  lua_ssl_trusted_certificate: setting(kind.certificates, {
    default: 'system',
    description: 'Authorities that outbound TLS trusts: `system`, files, PEM texts. Calls to authorization servers use it.',
  }),
}

const dns = {
  dns_hostsfile: setting(kind.path, { default: '/etc/hosts', description: 'Names that are known without asking a server.' }),
  dns_valid_ttl: setting(kind.number({ min: 0 }), { unit: 's', description: 'Life of an answer; unset, what the record says.' }),
  dns_stale_ttl: setting(kind.number({ min: 0 }), {
    default: '3600',
    unit: 's',
    description: 'Time that an expired answer is used while a new one is fetched.',
  }),
  dns_not_found_ttl: setting(kind.number({ min: 0 }), {
    default: '30',
    unit: 's',
    description: 'Life of the answer that a name does not exist.',
  }),
  dns_error_ttl: setting(kind.number({ min: 0 }), { default: '1', unit: 's', description: 'Time before a failed query is tried again.' }),
}

const introspection = {
  introspection_cache_max_entries: setting(kind.integer({ min: 1 }), {
    default: '100000',
    description: 'Answers about active tokens that a worker keeps.',
  }),
  introspection_cache_negative_max_entries: setting(kind.integer({ min: 1 }), {
    default: '10000',
    description: 'Answers about inactive tokens that a worker keeps, apart from the others so that garbage cannot push them out.',
  }),
  introspection_cache_max_bytes: setting(kind.size, {
    default: '256m',
    description: 'Memory that a worker gives to introspection answers.',
  }),
  introspection_cache_ttl_without_exp: setting(kind.integer({ min: 1 }), {
    default: '3600',
    unit: 's',
    description: 'Longest life of an answer that carries no `exp`, when a plugin sets no limit of its own (`ttl = 0`).',
  }),
}

const tracing = {
  tracing_instrumentations: setting(kind.instrumentations, {
    default: 'off',
    description:
      'What a traced request has spans for: `off`; `request`, the request as a whole; `all`; or a comma list of parts. The plugin `opentelemetry` says where they go.',
  }),
  tracing_sampling_rate: setting(kind.number({ min: 0, max: 1 }), {
    default: '0.01',
    description: 'Part of the requests that are traced, where neither the client nor the plugin decides.',
  }),
}

/** The settings in the groups and the order in which manual and example file show them. */
export const SECTIONS = [
  ['General', general],
  ['Logs', logs],
  ['Listeners', listening],
  ['TLS of listeners', tls],
  ['Storage', storage],
  ['Routing', routing],
  ['Headers', headers],
  ['Limits towards clients', limits],
  ['Upstreams and outbound TLS', upstreams],
  ['Names', dns],
  ['Introspection', introspection],
  ['Traces', tracing],
] as const

/** Every setting that means something to us, by its name in kong.conf or, for what Kong does not have, by our own. */
export const SETTINGS = {
  ...general,
  ...logs,
  ...listening,
  ...tls,
  ...storage,
  ...routing,
  ...headers,
  ...limits,
  ...upstreams,
  ...dns,
  ...introspection,
  ...tracing,
}

/** Name of a setting. */
export type SettingName = keyof typeof SETTINGS

/**
 * The settings of one process, complete and checked. Sizes are in bytes, durations in milliseconds, other numbers in the unit of the
 * setting (`SETTINGS.<name>.unit`); paths are absolute; secrets are `Secret`s; what is unset and has no default is null.
 */
export type Settings = { readonly [Name in SettingName]: ValueOf<(typeof SETTINGS)[Name]> }

/** Whether a setting of that name means something to us. */
export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name)
}

/** Names of all settings, in the order of the manual. */
export const SETTING_NAMES: readonly SettingName[] = Object.keys(SETTINGS).filter(isSettingName)

/** A name of kong.conf that is accepted and does nothing. */
export interface SettingWithoutEffect {
  /** `*` at the end stands for any rest. */
  readonly name: string
  /** Values that need no warning, since we behave as they ask. */
  readonly satisfiedBy: readonly string[]
  readonly why: string
}

/**
 * Names of kong.conf whose lack of effect is worth an explanation. A name that is neither here nor in `SETTINGS` is treated alike: accepted,
 * and named in the warning.
 */
export const SETTINGS_WITHOUT_EFFECT: readonly SettingWithoutEffect[] = [
  { name: 'anonymous_reports', satisfiedBy: ['off', 'false'], why: 'Nothing is ever reported to anyone.' },
  {
    name: 'worker_consistency',
    satisfiedBy: ['strict', 'eventual'],
    why: 'A change is in force on the node when its request is answered.',
  },
  { name: 'worker_state_update_frequency', satisfiedBy: [], why: 'A change is in force on the node when its request is answered.' },
  { name: 'mem_cache_size', satisfiedBy: [], why: 'Each cache has a bound of its own, see `introspection_cache_*`.' },
  { name: 'admin_gui_listen', satisfiedBy: ['off'], why: 'There is no web console yet.' },
  { name: 'admin_gui_*', satisfiedBy: [], why: 'There is no web console yet (`admin_gui_url` has effect).' },
  { name: 'ssl_dhparam', satisfiedBy: [], why: 'A finite-field group is chosen to match the key of the certificate.' },
  { name: 'ssl_session_cache_size', satisfiedBy: [], why: 'Sessions live in tickets that clients keep.' },
  { name: 'lua_ssl_verify_depth', satisfiedBy: [], why: 'The length of certificate chains is not limited.' },
  { name: 'lua_max_*', satisfiedBy: [], why: 'Heads and bodies are bounded in bytes, see `large_client_header_buffers`.' },
  { name: 'dns_*', satisfiedBy: [], why: "Names are resolved by the hosts file and the system's resolver." },
  { name: 'pg_*', satisfiedBy: [], why: 'PostgreSQL is not available yet.' },
  { name: 'db_*', satisfiedBy: [], why: 'The database is this node alone, so nothing has to be polled or cached.' },
  { name: 'cluster_*', satisfiedBy: [], why: 'Control plane and data plane are not available yet.' },
  { name: 'wasm*', satisfiedBy: ['off'], why: 'There are no WebAssembly filters.' },
  { name: 'lua_package_*', satisfiedBy: [], why: 'Plugins are written in TypeScript or JavaScript, see `plugins_dir`.' },
  { name: 'pluginserver_*', satisfiedBy: [], why: 'Plugins are written in TypeScript or JavaScript, see `plugins_dir`.' },
  { name: 'nginx_*', satisfiedBy: [], why: 'There is no nginx; the directives with a counterpart here are named with it.' },
]

function isAddressBlock(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0 || address.includes('%')) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
}

function isPortMap(text: string): boolean {
  const [seen = '', own = '', ...rest] = text.split(':')
  return isPort(seen) && isPort(own) && rest.length === 0
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535
}
