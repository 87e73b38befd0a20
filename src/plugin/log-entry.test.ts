import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type FakeRequest, fakeContext } from '../../test/support/fake-context.ts'
import { HeaderList } from '../http/headers.ts'
import type { RequestContext } from './context.ts'
import { gatherCredentialNames } from './credential-names.ts'
import { entryText, logEntry } from './log-entry.ts'

const ALICE = { id: 'c-1', username: 'alice', custom_id: null, tags: null }

/** What goes over the wire: null prototypes and absent members do not count. */
function entryOf(context: RequestContext, fields: Parameters<typeof logEntry>[1] = []): Record<string, unknown> {
  return JSON.parse(entryText(logEntry(context, fields)))
}

/** A request that an upstream answered in its second attempt. */
function proxied(request: FakeRequest = {}): RequestContext {
  const context = fakeContext({ target: '/a%20b?x=1&x=2&flag&q=a+b', headers: [['Host', 'upstream.internal']], ...request })
  const { record, response } = context
  context.route = { id: 'r-1', name: 'orders', paths: ['/a'], hosts: null, service: { id: 's-1' } }
  context.service = { id: 's-1', name: null, host: 'upstream.internal', port: 80 }
  record.forwardedMs = 12.4
  record.answeredMs = 40.4
  record.endedMs = 52
  record.status = 200
  record.upstreamStatus = 200
  record.upstreamPath = '/b?x=1'
  record.bytesReceived = 120
  record.bytesSent = 345
  record.attempts = {
    tries: [
      { startedAtMs: 1000, address: '', port: 0, failure: 'connect' },
      { startedAtMs: 1005, address: '192.0.2.9', port: 80, failure: null },
    ],
  }
  response.status = 200
  response.headers = HeaderList.fromRaw(['Content-Type', 'text/plain', 'X-Two', 'a', 'x-two', 'b', 'X-Two', 'c'])
  return context
}

describe('members', () => {
  test('a proxied request is told by the names and in the units of Kong', () => {
    assert.deepEqual(entryOf(proxied()), {
      request: {
        id: '0123456789abcdef0123456789abcdef',
        uri: '/a%20b?x=1&x=2&flag&q=a+b',
        url: 'http://api.example:8000/a%20b?x=1&x=2&flag&q=a+b',
        querystring: { x: ['1', '2'], flag: true, q: 'a b' },
        method: 'GET',
        headers: { host: 'api.example' },
        size: 120,
      },
      upstream_uri: '/b?x=1',
      upstream_status: '502, 200',
      response: { status: 200, headers: { 'content-type': 'text/plain', 'x-two': ['a', 'b', 'c'] }, size: 345 },
      latencies: { kong: 12, proxy: 28, request: 52, receive: 12 },
      tries: [
        {
          balancer_start: 1000,
          balancer_start_ns: 1_000_000_000,
          balancer_latency: 0,
          balancer_latency_ns: 0,
          state: 'failed',
          code: 502,
        },
        {
          balancer_start: 1005,
          balancer_start_ns: 1_005_000_000,
          balancer_latency: 0,
          balancer_latency_ns: 0,
          ip: '192.0.2.9',
          port: 80,
        },
      ],
      route: { id: 'r-1', name: 'orders', paths: ['/a'], service: { id: 's-1' } },
      service: { id: 's-1', host: 'upstream.internal', port: 80 },
      client_ip: '192.0.2.1',
      started_at: 0,
      source: 'upstream',
      workspace: '0dc6f45b-8f8d-40d2-a504-473544ee190b',
      workspace_name: 'default',
    })
  })

  test('a request that the gateway answered has no route, service, attempt or entity', () => {
    const context = fakeContext({ target: '/' })
    context.exit(404, { message: 'no' })
    context.record.status = 404
    context.record.endedMs = 3
    const entry = entryOf(context)
    assert.deepEqual(Object.keys(entry), [
      'request',
      'upstream_uri',
      'upstream_status',
      'response',
      'latencies',
      'client_ip',
      'started_at',
      'source',
      'workspace',
      'workspace_name',
    ])
    assert.deepEqual([entry['upstream_uri'], entry['upstream_status'], entry['source']], ['', '', 'kong'])
    assert.deepEqual(entry['latencies'], { kong: 3, proxy: -1, request: 3 })
  })

  test('a time-out counts as 504; a name that is not found is no attempt', () => {
    const context = proxied()
    context.record.upstreamStatus = null
    context.record.attempts = {
      tries: [
        { startedAtMs: 1, address: '192.0.2.9', port: 80, failure: 'timeout' },
        { startedAtMs: 2, address: '', port: 0, failure: 'resolve' },
      ],
    }
    assert.equal(entryOf(context)['upstream_status'], '504')
    assert.equal(entryOf(context)['source'], 'kong')
  })

  test('the entity that authenticated comes with its consumer', () => {
    const context = proxied()
    context.authenticate({ consumer: ALICE, credential: { id: 'k-1' }, authenticatedGroups: null }, null)
    assert.deepEqual(entryOf(context)['authenticated_entity'], { id: 'k-1', consumer_id: 'c-1' })
    assert.deepEqual(entryOf(context)['consumer'], { id: 'c-1', username: 'alice' })
    context.useAnonymous(ALICE)
    assert.equal('authenticated_entity' in entryOf(context), false)
    assert.deepEqual(entryOf(context)['consumer'], { id: 'c-1', username: 'alice' })
  })

  test('names that JavaScript takes for its own are names like others', () => {
    const context = proxied({ target: '/?__proto__=1&constructor=2', headers: [['__proto__', 'x']] })
    const text = JSON.stringify(logEntry(context, [['__proto__.a.b', 1]]))
    assert.ok(text.includes('"querystring":{"__proto__":"1","constructor":"2"}'), text)
    assert.ok(text.includes('"headers":{"__proto__":"x"}'), text)
    assert.ok(text.includes('"__proto__":{"a":{"b":1}}'), text)
    assert.equal(Object.hasOwn(Object.prototype, 'a'), false)
  })

  test('bytes are shown as the text that they are, and always make JSON', () => {
    const name = Buffer.from('Jürgen').toString('latin1')
    const context = proxied({
      headers: [
        ['X-Name', name],
        ['X-Bad', '\xff"\\'],
      ],
    })
    assert.deepEqual((entryOf(context)['request'] as { headers: unknown }).headers, { 'x-name': 'Jürgen', 'x-bad': '\ufffd"\\' })
  })
})

describe('values of plugins and of the configuration', () => {
  test('a dotted path adds, replaces and removes', () => {
    const context = proxied()
    context.logValues.set('correlation_id', 'id-1')
    context.logValues.set('trace_id.w3c', 'abc')
    context.logValues.set('request.size', null)
    const entry = entryOf(context, [
      ['correlation_id', 'id-2'],
      ['service.host', 'hidden'],
      ['response', null],
      ['absent.member', null],
    ])
    assert.equal(entry['correlation_id'], 'id-2')
    assert.deepEqual(entry['trace_id'], { w3c: 'abc' })
    assert.equal('size' in (entry['request'] as object), false)
    assert.deepEqual(entry['service'], { id: 's-1', host: 'hidden', port: 80 })
    assert.equal('response' in entry, false)
    assert.equal('absent' in entry, false)
  })

  test('entities that entries share stay as they are', () => {
    const context = proxied()
    logEntry(context, [['service.host', 'hidden']])
    assert.deepEqual(entryOf(context)['service'], { id: 's-1', host: 'upstream.internal', port: 80 })
  })
})

describe('credentials', () => {
  const TOKEN = 'leaked-token'

  test('usual headers are named and their values left out, however they are spelt', () => {
    for (const name of [
      'Authorization',
      'PROXY-AUTHORIZATION',
      'Cookie',
      'DPoP',
      'apikey',
      'X-API-Key',
      'x_api_key',
      'Access-Token',
      'Sec-WebSocket-Protocol',
    ]) {
      const text = JSON.stringify(logEntry(proxied({ headers: [[name, TOKEN]] })))
      assert.ok(text.includes(`"${name.toLowerCase()}":"REDACTED"`), name)
      assert.equal(text.includes(TOKEN), false, name)
    }
  })

  test('arguments are left out of uri, url, querystring and upstream_uri', () => {
    for (const name of [
      'access_token',
      'id_token',
      'refresh_token',
      'code',
      'client_secret',
      'client_assertion',
      'password',
      'token',
      'apikey',
    ]) {
      const context = proxied({ target: `/x?a=1&${name}=${TOKEN}&b=2` })
      context.record.upstreamPath = `/y?${name}=${TOKEN}`
      const entry = entryOf(context)
      assert.equal((entry['request'] as { uri: string }).uri, `/x?a=1&${name}=REDACTED&b=2`)
      assert.deepEqual((entry['request'] as { querystring: unknown }).querystring, { a: '1', [name]: 'REDACTED', b: '2' })
      assert.equal(entry['upstream_uri'], `/y?${name}=REDACTED`)
      assert.equal(JSON.stringify(entry).includes(TOKEN), false, name)
    }
  })

  test('names that a configuration gives count too', () => {
    const context = proxied({ target: `/?my-jwt=${TOKEN}`, headers: [['X-Session', TOKEN]] })
    context.credentialNames = gatherCredentialNames([{ headers: ['X-Session'] }, { arguments: ['my-jwt'] }])
    assert.equal(JSON.stringify(logEntry(context)).includes(TOKEN), false)
  })

  test('the token that authenticated is found wherever it stands', () => {
    const context = proxied({ target: `/?q=${TOKEN}`, headers: [['X-Forwarded-Access', `Bearer ${TOKEN}`]] })
    context.response.headers.add('X-Echo', TOKEN)
    context.authenticate({ consumer: null, credential: null, authenticatedGroups: null }, TOKEN)
    assert.equal(JSON.stringify(logEntry(context)).includes(TOKEN), false)
  })

  test('answers lose the values of cookies, and what a URL in a header carries', () => {
    const context = proxied({
      headers: [
        ['Referer', `https://a/?code=${TOKEN}`],
        ['X-Next', `https://u:${TOKEN}@b/`],
      ],
    })
    context.response.headers = HeaderList.fromRaw([
      'Set-Cookie',
      `a=${TOKEN}; Path=/`,
      'Set-Cookie',
      `b=${TOKEN}`,
      'Location',
      `https://client/cb#access_token=${TOKEN}&state=1`,
    ])
    const entry = entryOf(context)
    assert.deepEqual((entry['response'] as { headers: unknown }).headers, {
      'set-cookie': ['REDACTED', 'REDACTED'],
      location: 'https://client/cb#access_token=REDACTED&state=1',
    })
    assert.equal(JSON.stringify(entry).includes(TOKEN), false)
  })
})
