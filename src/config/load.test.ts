import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { inspect } from 'node:util'
import { selfSigned } from '../../test/support/certificates.ts'
import { createSelfSigned, type SelfSigned } from '../util/self-signed.ts'
import { displaySettings } from './display.ts'
import { loadPrefix, loadSettings, SettingsError, type SettingsSources } from './load.ts'

let folder = ''
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-load-'))
})
after(() => rmSync(folder, { recursive: true, force: true }))

function conf(text: string): string {
  const file = join(folder, `${process.hrtime.bigint()}.conf`)
  writeFileSync(file, text)
  return file
}

function load(env: Record<string, string>, more: SettingsSources = {}) {
  return loadSettings({ file: null, cwd: folder, env, ...more })
}

function errorsOf(env: Record<string, string>, more: SettingsSources = {}): readonly string[] {
  try {
    load(env, more)
  } catch (error) {
    assert.ok(error instanceof SettingsError)
    return error.errors
  }
  return []
}

test('without any source every setting has its default', () => {
  const { settings, warnings, file } = load({})
  assert.equal(settings.prefix, join(folder, 'sallyport-data'))
  assert.equal(settings.database, 'sqlite')
  assert.equal(settings.keyring_file, join(folder, 'sallyport-data', 'keyring.key'))
  assert.deepEqual(
    [settings.proxy_listen, settings.admin_listen, settings.status_listen].map((listeners) => listeners.map(({ listener }) => listener)),
    [
      ['0.0.0.0:8000 reuseport backlog=16384', '0.0.0.0:8443 ssl http2 reuseport backlog=16384'],
      ['127.0.0.1:8001 reuseport backlog=16384', '127.0.0.1:8444 ssl http2 reuseport backlog=16384'],
      ['127.0.0.1:8007 reuseport backlog=16384'],
    ],
  )
  assert.equal(settings.nginx_daemon, true)
  assert.equal(settings.nginx_worker_processes, 'auto')
  assert.equal(settings.client_header_timeout, 60_000)
  assert.equal(settings.introspection_cache_max_bytes, 256 * 1024 * 1024)
  assert.equal(settings.admin_token, null)
  assert.deepEqual(warnings, [])
  assert.equal(file, null)
})

test('file < KONG_ variable < SALLYPORT_ variable < command line', () => {
  const file = conf('log_level = debug\n')
  const level = (env: Record<string, string>, more: SettingsSources = {}) => load(env, { file, ...more }).settings.log_level
  assert.equal(level({}), 'debug')
  assert.equal(level({ KONG_LOG_LEVEL: 'info' }), 'info')
  assert.equal(level({ SALLYPORT_LOG_LEVEL: 'warn', KONG_LOG_LEVEL: 'info' }), 'warn')
  assert.equal(level({ SALLYPORT_LOG_LEVEL: 'warn' }, { flags: { log_level: 'error' } }), 'error')
})

test('an empty value takes a setting back to its default', () => {
  assert.equal(load({ KONG_LOG_LEVEL: '' }, { file: conf('log_level = debug\n') }).settings.log_level, 'notice')
  assert.equal(load({ KONG_DECLARATIVE_CONFIG: '' }).settings.declarative_config, null)
})

test('in a file # starts a comment unless written \\#, and the later of two lines wins', () => {
  const file = conf('# head\n\nlog_level = debug # why\nreal_ip_header = X-A\\#B\n  log_level=info\r\n')
  const { settings } = load({}, { file })
  assert.equal(settings.log_level, 'info')
  assert.equal(settings.real_ip_header, 'X-A#B')
})

test('a named file that is missing is an error in the words of Kong', () => {
  assert.deepEqual(errorsOf({}, { file: '/nowhere/kong.conf' }), ['no file at: /nowhere/kong.conf'])
})

test('a line that is not name = value is reported by number, its content is not shown', () => {
  const file = conf('log_level = info\nhunter2\n')
  assert.deepEqual(errorsOf({}, { file }), [`${file}: line 2 is not of form: name = value`])
})

test('sallyport.conf in the working directory is found without being named', () => {
  const cwd = mkdtempSync(join(folder, 'cwd-'))
  writeFileSync(join(cwd, 'sallyport.conf'), 'log_level = crit\n')
  const loaded = loadSettings({ cwd })
  assert.equal(loaded.settings.log_level, 'crit')
  assert.equal(loaded.file, join(cwd, 'sallyport.conf'))
})

test('every error is reported at once, in the words of Kong', () => {
  assert.deepEqual(
    errorsOf({
      KONG_LOG_LEVEL: 'loud',
      KONG_KEEPALIVE_REQUESTS: '1.5',
      KONG_UPSTREAM_KEEPALIVE_POOL_SIZE: '-1',
      KONG_DNS_STALE_TTL: 'long',
      KONG_NGINX_DAEMON: 'no',
      KONG_HEADERS: 'server_tokens, Foo',
      KONG_TRUSTED_IPS: '10.0.0.0/8, ten',
      KONG_DNS_HOSTSFILE: '/nowhere/hosts',
      KONG_PORT_MAPS: '443:0',
      KONG_NODE_ID: 'me',
      KONG_CLIENT_MAX_BODY_SIZE: '10q',
      KONG_TRACING_INSTRUMENTATIONS: 'router, disk',
      KONG_TRACING_SAMPLING_RATE: '1.5',
    }).toSorted(),
    [
      "client_max_body_size is not a size: '10q'",
      'dns_hostsfile: file does not exist',
      "dns_stale_ttl is not a number: 'long'",
      "headers: invalid entry 'Foo'",
      'invalid port mapping (`port_maps`): 443:0',
      'keepalive_requests must be an integer',
      "log_level has an invalid value: 'loud' (debug, info, notice, warn, error, crit, alert, emerg)",
      "nginx_daemon is not a boolean: 'no'",
      'node_id must be a valid UUID',
      'tracing_instrumentations: invalid tracing type: disk',
      'tracing_sampling_rate must be between 0 and 1',
      "trusted_ips must be a comma separated list in the form of IPv4 or IPv6 address or CIDR block or 'unix:', got 'ten'",
      'upstream_keepalive_pool_size must be 0 or greater',
    ],
  )
})

test('what is not available yet is refused, never ignored', () => {
  assert.deepEqual(errorsOf({ KONG_DATABASE: 'postgres' }), ['database = postgres is not available yet; use sqlite or off'])
  assert.deepEqual(errorsOf({ KONG_ROLE: 'data_plane' }), ['role = data_plane is not available yet; use traditional'])
  assert.deepEqual(errorsOf({ KONG_STREAM_LISTEN: '0.0.0.0:9000' }), ['stream_listen: TCP and UDP proxying is not available; use off'])
  assert.deepEqual(errorsOf({ KONG_ROUTER_FLAVOR: 'expressions' }), [
    'router_flavor = expressions is not available; use traditional_compatible',
  ])
  assert.match(errorsOf({ KONG_SSL_CIPHER_SUITE: 'fips' }).join(), /^ssl_cipher_suite = fips is not available/)
  assert.deepEqual(errorsOf({ KONG_PROXY_LISTEN: '0.0.0.0:8000 http2' }), [])
  assert.equal(errorsOf({ KONG_STATUS_LISTEN: '127.0.0.1:8007 http2' }).length, 1)
})

test('real_ip_header = proxy_protocol asks for a listener of the proxy with that flag, where there is one at all', () => {
  const errors = (listen: string) => errorsOf({ KONG_REAL_IP_HEADER: 'proxy_protocol', KONG_PROXY_LISTEN: listen })
  assert.deepEqual(errors('0.0.0.0:8000, 0.0.0.0:8443 ssl'), [
    'real_ip_header = proxy_protocol: at least one of the proxy_listen entries must have the flag proxy_protocol',
  ])
  assert.deepEqual(errors('0.0.0.0:8000, 0.0.0.0:8443 ssl proxy_protocol'), [])
  assert.deepEqual(errors('off'), [])
  for (const name of ['KONG_PROXY_LISTEN', 'KONG_ADMIN_LISTEN', 'KONG_STATUS_LISTEN'])
    assert.deepEqual(errorsOf({ [name]: '127.0.0.1:9000 proxy_protocol' }), [])
})

test('the Admin API on another address than loopback needs a token or admin_insecure', () => {
  for (const listen of ['0.0.0.0:8001', '[::]:8001', '10.1.2.3:8001', 'gateway.internal:8001', '127.0.0.1:8001, 0.0.0.0:9001']) {
    const errors = errorsOf({ KONG_ADMIN_LISTEN: listen })
    assert.equal(errors.length, 1, listen)
    assert.match(errors[0] ?? '', /^admin_listen: .*admin_token.*admin_insecure = on/)
  }
  for (const listen of ['127.0.0.1:8001', '127.9.9.9:8001', '[::1]:8001', '[::ffff:127.0.0.1]:8001', 'localhost:8001', 'off']) {
    assert.deepEqual(errorsOf({ KONG_ADMIN_LISTEN: listen }), [], listen)
  }
  assert.deepEqual(errorsOf({ KONG_ADMIN_LISTEN: '0.0.0.0:8001', SALLYPORT_ADMIN_TOKEN: 's3cret' }), [])
  assert.deepEqual(errorsOf({ KONG_ADMIN_LISTEN: '0.0.0.0:8001', SALLYPORT_ADMIN_INSECURE: 'on' }), [])
})

test('tracing_instrumentations is off, or a list of what a trace has spans for', () => {
  const read = (text: string) => load({ KONG_TRACING_INSTRUMENTATIONS: text }).settings.tracing_instrumentations
  assert.deepEqual(load({}).settings.tracing_instrumentations, [])
  assert.equal(load({}).settings.tracing_sampling_rate, 0.01)
  assert.deepEqual(read('off'), [])
  assert.deepEqual(read('router, http_client'), ['router', 'http_client'])
  assert.deepEqual(errorsOf({ KONG_TRACING_INSTRUMENTATIONS: 'off, router' }), [
    'tracing_instrumentations: invalid tracing types: off, other types are mutually exclusive',
  ])
})

test('names that mean nothing to us are named in one warning, without their values, and harm nothing', () => {
  const file = conf('pg_password = hunter2\nmem_cache_size = 64m\nlua_socket_pool_size = 30\n')
  const { warnings } = load({ KONG_PG_HOST: 'db', SALLYPORT_TYPO: '1', KONG_ADMIN_GUI_LISTEN: '0.0.0.0:8002' }, { file })
  assert.deepEqual(warnings, [
    'settings without effect: admin_gui_listen, lua_socket_pool_size, mem_cache_size, pg_host, pg_password, typo',
  ])
})

test('no warning for a setting without effect whose value we satisfy, nor for variables that an orchestrator adds', () => {
  const env = {
    KONG_ANONYMOUS_REPORTS: 'off',
    KONG_ADMIN_GUI_LISTEN: 'off',
    KONG_WORKER_CONSISTENCY: 'eventual',
    KONG_VERSION: '3.9.1',
    SALLYPORT_SERVICE_HOST: '10.0.0.1',
    SALLYPORT_PORT: 'tcp://10.0.0.1:8000',
    SALLYPORT_PORT_8000_TCP_ADDR: '10.0.0.1',
  }
  assert.deepEqual(load(env).warnings, [])
})

test("nginx directives that Kong injects set what they mean, and win over Kong's shorter name", () => {
  const { settings, warnings } = load({
    KONG_CLIENT_MAX_BODY_SIZE: '1m',
    KONG_NGINX_HTTP_CLIENT_MAX_BODY_SIZE: '2m',
    KONG_NGINX_PROXY_REAL_IP_HEADER: 'X-Forwarded-For',
    KONG_NGINX_HTTP_KEEPALIVE_TIMEOUT: '500ms',
    KONG_NGINX_MAIN_DAEMON: 'off',
    KONG_NGINX_HTTP_LARGE_CLIENT_HEADER_BUFFERS: '8 16k',
  })
  assert.equal(settings.client_max_body_size, 2 * 1024 * 1024)
  assert.equal(settings.real_ip_header, 'X-Forwarded-For')
  assert.equal(settings.keepalive_timeout, 500)
  assert.equal(settings.nginx_daemon, false)
  assert.deepEqual(settings.large_client_header_buffers, { count: 8, size: 16 * 1024 })
  assert.deepEqual(warnings, [])
})

test('a vault reference is replaced by the variable that it names', () => {
  const env = {
    KONG_ADMIN_TOKEN: '{vault://env/my-token}',
    MY_TOKEN: 's3cret',
    KONG_TRUSTED_IPS: '10.0.0.0/8, {vault://env/ip}',
    IP: '::1',
  }
  const { settings } = load(env)
  assert.equal(settings.admin_token?.reveal(), 's3cret')
  assert.deepEqual(settings.trusted_ips, ['10.0.0.0/8', '::1'])
})

test('a vault reference that leads nowhere is fatal, and named', () => {
  assert.deepEqual(errorsOf({ KONG_ADMIN_TOKEN: '{vault://env/x}' }), [
    "failed to dereference '{vault://env/x}': unable to load value (x) from vault (env): not found [{vault://env/x}] for config option 'admin_token'",
  ])
  assert.match(errorsOf({ KONG_TRUSTED_IPS: '::1, {vault://env/x}' })[0] ?? '', /for config option 'trusted_ips\[2\]'$/)
})

test('a reference with a mistake in it is an error and never the value itself', () => {
  for (const text of ['{vault://env/tok#next}', '{vault://env/a/b/c}', '{vault://e.nv/tok}']) {
    const [error = '', ...more] = errorsOf({ KONG_ADMIN_TOKEN: text })
    assert.match(error, /not a reference .* for config option 'admin_token'$/)
    assert.deepEqual(more, [])
  }
})

test('what comes out of a vault is never echoed, and an empty secret is an error', () => {
  assert.deepEqual(errorsOf({ KONG_LOG_LEVEL: '{vault://env/x}', X: 'hunter2' }), [
    "log_level: what '{vault://env/x}' refers to is not a valid value",
  ])
  assert.deepEqual(errorsOf({ KONG_ADMIN_TOKEN: '{vault://env/x}', X: ' ' }), ["admin_token: '{vault://env/x}' is empty"])
})

test('a secret prints as *** wherever settings are printed', () => {
  const { settings } = load({ SALLYPORT_ADMIN_TOKEN: 'hunter2', KONG_DECLARATIVE_CONFIG_STRING: '{"_format_version":"hunter2"}' })
  for (const text of [inspect(settings, { depth: 9, showHidden: true }), JSON.stringify(settings), `${settings.admin_token}`]) {
    assert.doesNotMatch(text, /hunter2/)
    assert.match(text, /\*\*\*/)
  }
  assert.equal(settings.admin_token?.reveal(), 'hunter2')
})

test('paths are absolute: logs relative to the prefix, other files to the working directory, ~ to the home directory', () => {
  const { settings, warnings } = load({
    SALLYPORT_PREFIX: 'data',
    KONG_PROXY_ACCESS_LOG: '/dev/stdout json',
    KONG_DECLARATIVE_CONFIG: 'kong.yml',
    SALLYPORT_PLUGINS_DIR: '~/plugins',
  })
  assert.equal(settings.prefix, join(folder, 'data'))
  assert.equal(settings.proxy_error_log, join(folder, 'data/logs/error.log'))
  assert.equal(settings.proxy_access_log, '/dev/stdout')
  assert.equal(settings.declarative_config, join(folder, 'kong.yml'))
  assert.equal(settings.plugins_dir, join(homedir(), 'plugins'))
  assert.deepEqual(warnings, ['proxy_access_log: only the file has effect, what follows it has none'])
})

test('a certificate that cannot be loaded is an error; the text of one is not shown', () => {
  const broken = '-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----'
  assert.deepEqual(errorsOf({ KONG_LUA_SSL_TRUSTED_CERTIFICATE: `system, /nowhere/ca.pem, ${broken}` }), [
    'lua_ssl_trusted_certificate: failed loading certificate from /nowhere/ca.pem',
    'lua_ssl_trusted_certificate: failed loading certificate from the given text',
  ])
})

test('client_ssl needs a certificate and the key that belongs to it; neither is shown', () => {
  const [one, other] = [selfSigned({ name: 'a' }), selfSigned({ name: 'b' })]
  const errors = (cert?: string, key?: string) =>
    errorsOf({
      KONG_CLIENT_SSL: 'on',
      ...(cert === undefined ? {} : { KONG_CLIENT_SSL_CERT: cert }),
      ...(key === undefined ? {} : { KONG_CLIENT_SSL_CERT_KEY: key }),
    })
  assert.deepEqual(errors(), ['client_ssl_cert must be specified', 'client_ssl_cert_key must be specified'])
  assert.deepEqual(errors(one.cert), ['client_ssl_cert_key must be specified'])
  assert.deepEqual(errors(one.cert, other.key), ['client_ssl_cert: certificate does not match key'])
  assert.deepEqual(errors(one.cert, '/nowhere.key'), ['client_ssl_cert_key: failed loading key from /nowhere.key'])
  const settings = load({ KONG_CLIENT_SSL: 'on', KONG_CLIENT_SSL_CERT: one.cert, KONG_CLIENT_SSL_CERT_KEY: one.key }).settings
  assert.ok(!JSON.stringify(displaySettings(settings)).includes('PRIVATE KEY'))
})

test('certificates and keys of TLS listeners come in pairs that belong together, and only where a listener uses them (Kong)', async () => {
  const [first, second] = [await makeCertificate(), await makeCertificate()]
  const certificate = join(folder, 'node.crt')
  writeFileSync(certificate, first.cert)
  const cases: readonly (readonly [cert: string, key: string, errors: readonly string[]])[] = [
    [certificate, first.key, []],
    [first.cert, Buffer.from(first.key).toString('base64'), []],
    [certificate, '', ['ssl_cert_key must be specified']],
    ['', first.key, ['ssl_cert must be specified']],
    [`${certificate},${certificate}`, first.key, ['ssl_cert was specified 2 times while ssl_cert_key was specified 1 times']],
    ['/nowhere/node.crt', first.key, ['ssl_cert: failed loading certificate from /nowhere/node.crt']],
    [certificate, '/nowhere/node.key', ['ssl_cert_key: failed loading key from /nowhere/node.key']],
    [certificate, first.key.replaceAll('KEY', 'KEX'), ['ssl_cert_key: failed loading key from the given text']],
    [certificate, second.key, [`ssl_cert_key: the given text is not the key of ${certificate}`]],
  ]
  for (const [cert, key, errors] of cases) {
    assert.deepEqual(errorsOf({ KONG_SSL_CERT: cert, KONG_SSL_CERT_KEY: key }), errors)
    assert.deepEqual(
      errorsOf({ KONG_ADMIN_SSL_CERT: cert, KONG_ADMIN_SSL_CERT_KEY: key }),
      errors.map((error) => error.replaceAll('ssl_cert', 'admin_ssl_cert')),
    )
    assert.deepEqual(errorsOf({ KONG_SSL_CERT: cert, KONG_SSL_CERT_KEY: key, KONG_PROXY_LISTEN: '0.0.0.0:8000' }), [])
  }
})

test('a broken key that looks like a path is not shown as one', async () => {
  const { cert, key } = await makeCertificate()
  const broken = key.replaceAll(/-----.*-----/g, '').replaceAll('\n', '')
  for (const text of [broken, broken.repeat(3)]) {
    assert.deepEqual(errorsOf({ KONG_SSL_CERT: cert, KONG_SSL_CERT_KEY: text }), ['ssl_cert_key: failed loading key from the given text'])
  }
})

test('the prefix is found even when other settings are broken', () => {
  assert.equal(loadPrefix({ file: null, cwd: folder, env: { KONG_PREFIX: 'a', KONG_LOG_LEVEL: 'loud' } }), join(folder, 'a'))
  assert.equal(loadPrefix({ file: null, cwd: folder, env: { KONG_PREFIX: 'a', SALLYPORT_PREFIX: '/b' } }), '/b')
})

async function makeCertificate(): Promise<SelfSigned> {
  return await createSelfSigned({ kind: 'ecdsa', commonName: 'a.test', days: 1 })
}
