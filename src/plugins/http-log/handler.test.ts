import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeContext, recordingLog } from '../../../test/support/fake-context.ts'
import { fakeKit } from '../../../test/support/fake-kit.ts'
import { completeConfig } from '../../../test/support/plugin-config.ts'
import { scriptedHttp } from '../../../test/support/scripted-http.ts'
import type { HttpClientOptions } from '../../plugin/kit.ts'
import plugin from './handler.ts'
import { type Config, schema } from './schema.ts'

const DEFAULTS: Config = completeConfig(schema, { http_endpoint: 'http://logs.internal/in' })

/** The plugin in a process of its own, whose end is `exit`. */
function setUp() {
  const http = scriptedHttp({ status: 200 })
  const logged = recordingLog()
  const asked: HttpClientOptions[] = []
  const flushers: ((withinMs: number) => Promise<void>)[] = []
  const kit = fakeKit({
    log: logged.log,
    httpClient: (options) => {
      asked.push(options)
      return http.client
    },
    onExit: (flush) => void flushers.push(flush),
  })
  const configure = (change: Partial<Config> = {}) => {
    const state = plugin.configure({ ...DEFAULTS, ...change }, kit)
    return { request: (target = '/') => plugin.log?.(fakeContext({ target }), state), close: () => plugin.close?.(state) }
  }
  const exit = () => Promise.all(flushers.map((flush) => flush(5000)))
  return { http, logged, asked, configure, exit, bodies: () => http.requests.map(({ body = '' }): unknown => JSON.parse(body)) }
}

describe('what is sent', () => {
  test('with a batch size of one the body is an object, with a larger one an array', async () => {
    const { configure, exit, bodies } = setUp()
    configure().request('/a')
    const many = configure({ queue: { ...DEFAULTS.queue, max_batch_size: 3 } })
    many.request('/b')
    many.request('/c')
    await exit()
    const uris = bodies().map((body) =>
      (Array.isArray(body) ? body : [body]).map(({ request }: { request: { uri: string } }) => request.uri),
    )
    assert.deepEqual(uris, [['/a'], ['/b', '/c']])
    assert.equal(Array.isArray(bodies()[1]), true)
  })

  test('method, type, headers and credentials are those of the configuration; query and fragment stay behind', async () => {
    const { configure, exit, http, asked, logged } = setUp()
    configure({
      http_endpoint: 'https://us%40er:p%3Aw@logs.internal:8443/in?token=t#f',
      method: 'PUT',
      content_type: 'application/json; charset=utf-8',
      headers: { 'X-Own': 'ü' },
      timeout: 1,
      keepalive: 2,
      ssl_verify: false,
    }).request()
    await exit()
    const [sent] = http.requests
    assert.deepEqual([sent?.method, sent?.url], ['PUT', 'https://logs.internal:8443/in'])
    assert.deepEqual(sent?.headers, [
      ['Content-Type', 'application/json; charset=utf-8'],
      ['Authorization', `Basic ${Buffer.from('us@er:p:w').toString('base64')}`],
      ['X-Own', Buffer.from('ü').toString('latin1')],
    ])
    assert.deepEqual(asked, [{ timeoutMs: 1, keepaliveMs: 2, verifyTls: false }])
    assert.doesNotMatch(logged.text(), /us%40er|us@er|p%3Aw|p:w|token=/)
    assert.deepEqual(
      logged.lines.map(({ message }) => message),
      ['the query of http_endpoint is not sent', 'ssl_verify is off: whoever is in the way can read the log'],
    )
  })

  test('custom fields are in every entry', async () => {
    const { configure, exit, bodies } = setUp()
    configure({ custom_fields_by_lua: { 'labels.zone': "return 'a'", 'request.id': 'return nil' } }).request()
    await exit()
    const [entry] = bodies() as [{ labels: unknown; request: object }]
    assert.deepEqual(entry.labels, { zone: 'a' })
    assert.equal('id' in entry.request, false)
  })

  test('the old names of the queue win, as in Kong', async () => {
    const { configure, exit, bodies } = setUp()
    configure({ queue_size: 5, flush_timeout: 60 }).request()
    configure({ queue_size: 0 }).request()
    await exit()
    // The first waits for company until the end.
    assert.deepEqual(bodies().map(Array.isArray), [false, true])
  })
})

describe('failures', () => {
  test('a status from 300 on is a failure and tried again', async () => {
    const { configure, exit, http } = setUp()
    let answers = 0
    http.answer(() => ({ status: [500, 302, 299][answers++] ?? 200 }))
    configure().request()
    await exit()
    assert.equal(http.requests.length, 3)
  })

  test('an endpoint that came to nothing costs the entries alone', () => {
    const { configure, logged } = setUp()
    const { request, close } = configure({ http_endpoint: '' })
    request()
    close()
    assert.equal(logged.lines[0]?.message, 'http_endpoint is no http or https URL, entries are not sent')
  })
})

describe('sharing', () => {
  test('equal configurations share a connection pool and a queue; other headers are another queue', () => {
    const { configure, asked } = setUp()
    configure()
    configure({ custom_fields_by_lua: { a: 'return 1' } })
    assert.equal(asked.length, 1)
    configure({ headers: { Authorization: 'other' } })
    assert.equal(asked.length, 2)
  })

  test('what a configuration that is gone had queued is sent all the same', async () => {
    const { configure, exit, http } = setUp()
    const { request, close } = configure({ queue: { ...DEFAULTS.queue, max_batch_size: 10, max_coalescing_delay: 3600 } })
    request()
    close()
    await exit()
    assert.equal(http.requests.length, 1)
  })
})
