import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { exchange, headerOf, headersOf, type RawResponse } from '../support/raw-client.ts'
import { type StubIntrospection, startStubIntrospection } from '../support/stub-introspection.ts'

describe('routing', () => {
  let gateway: Gateway
  let upstream: EchoUpstream
  let server: StubIntrospection

  before(async () => {
    upstream = await startEchoUpstream()
    server = await startStubIntrospection()
    gateway = await startGateway({ database: 'off', declarative: configuration(), logLevel: 'error' })
  })
  after(async () => {
    await upstream.stop()
    await server.stop()
    await gateway.stop()
  })

  /** Each route answers with its own name, unless it has the echo service, which tells what arrived. */
  function configuration() {
    const says = (name: string, matching: object) => ({
      name,
      ...matching,
      plugins: [{ name: 'request-termination', config: { status_code: 200, body: name, content_type: 'text/plain' } }],
    })
    const authenticate = { name: 'oauth2-introspection', config: { introspection_url: server.url, authorization_value: 'Basic eDp5' } }
    return {
      _format_version: '3.0',
      services: [
        {
          name: 'echo',
          url: upstream.origin,
          routes: [
            { name: 'stripped', paths: ['/stripped'] },
            { name: 'kept', paths: ['/anything/kept'], strip_path: false },
            { name: 'regex-stripped', paths: ['~/v\\d+/users'], strip_path: true },
            { name: 'preserving', paths: ['/preserving'], preserve_host: true },
            { name: 'root', hosts: ['root.test'], strip_path: false },
          ],
        },
        { name: 'with-path', url: `${upstream.origin}/anything/base`, routes: [{ name: 'with-path', paths: ['/with-path'] }] },
        {
          name: 'disabled',
          url: upstream.origin,
          enabled: false,
          routes: [{ name: 'of-a-disabled-service', paths: ['/long/prefix/disabled'] }],
        },
      ],
      routes: [
        says('by-method', { methods: ['PURGE', 'DELETE'], paths: ['/methods'] }),
        says('any-method', { paths: ['/methods'] }),
        says('by-host', { hosts: ['Host.test'] }),
        says('by-wildcard', { hosts: ['*.wild.test'] }),
        says('by-right-wildcard', { hosts: ['right.*'] }),
        says('by-host-and-port', { hosts: ['port.test:8080'] }),
        says('prefix', { paths: ['/prefix'] }),
        says('longer-prefix', { paths: ['/prefix/longer'] }),
        says('regex', { paths: ['~/re/(?<id>\\d+)$'] }),
        says('by-header', { paths: ['/headers'], headers: { 'X-Version': ['v2', 'v3'] } }),
        says('by-header-pattern', { paths: ['/headers'], headers: { 'X-Version': ['~*^beta-\\d+$'] } }),
        says('no-header', { paths: ['/headers'] }),
        says('fallback', { paths: ['/long'] }),
        says('escaped', { paths: ['/a/b'] }),
        { name: 'https-426', paths: ['/https-426'], protocols: ['https'], plugins: [authenticate] },
        { name: 'https-301', paths: ['/https-301'], protocols: ['https'], https_redirect_status_code: 301 },
        { name: 'https-308', paths: ['/https-308'], protocols: ['https'], https_redirect_status_code: 308 },
        { name: 'serviceless', paths: ['/serviceless'] },
        { name: 'serviceless-guarded', paths: ['/guarded'], plugins: [authenticate] },
      ],
    }
  }

  async function send(path: string, { method = 'GET', host = 'api.test', headers = [] as string[] } = {}): Promise<RawResponse> {
    return await exchange(gateway.proxyPort, [`${method} ${path} HTTP/1.1`, `Host: ${host}`, ...headers])
  }

  const routeOf = async (path: string, options?: Parameters<typeof send>[1]): Promise<string> => {
    const response = await send(path, options)
    return response.status === 200 ? response.body.toString() : String(response.status)
  }

  /** The target that the upstream got. */
  async function targetOf(path: string, options?: Parameters<typeof send>[1]): Promise<string | undefined> {
    upstream.reset()
    await send(path, options)
    return upstream.lastRequest?.target
  }

  test('methods', async () => {
    assert.equal(await routeOf('/methods', { method: 'DELETE' }), 'by-method')
    assert.equal(await routeOf('/methods', { method: 'PURGE' }), 'by-method')
    assert.equal(await routeOf('/methods'), 'any-method')
  })

  test('hosts: case does not matter, nor does a trailing dot or a port', async () => {
    for (const host of ['host.test', 'HOST.TEST', 'host.test.', 'host.test:1234']) assert.equal(await routeOf('/x', { host }), 'by-host')
    assert.equal(await routeOf('/x', { host: 'other.test' }), '404')
  })

  test('hosts with a wildcard: any depth below, never the name itself', async () => {
    for (const host of ['a.wild.test', 'a.b.wild.test']) assert.equal(await routeOf('/x', { host }), 'by-wildcard')
    for (const host of ['right.com', 'right.co.uk']) assert.equal(await routeOf('/x', { host }), 'by-right-wildcard')
    for (const host of ['wild.test', 'awild.test', 'right']) assert.equal(await routeOf('/x', { host }), '404')
  })

  test('a host with a port wants that port in Host', async () => {
    assert.equal(await routeOf('/x', { host: 'port.test:8080' }), 'by-host-and-port')
    assert.equal(await routeOf('/x', { host: 'port.test:8081' }), '404')
    assert.equal(await routeOf('/x', { host: 'port.test' }), '404')
  })

  test('paths are prefixes of text, the longest wins', async () => {
    assert.equal(await routeOf('/prefix'), 'prefix')
    assert.equal(await routeOf('/prefixed'), 'prefix')
    assert.equal(await routeOf('/prefix/longer/x'), 'longer-prefix')
    assert.equal(await routeOf('/PREFIX'), '404')
  })

  test('regular expressions are anchored at the start', async () => {
    assert.equal(await routeOf('/re/42'), 'regex')
    assert.equal(await routeOf('/re/42a'), '404')
    assert.equal(await routeOf('/x/re/42'), '404')
  })

  test('headers: any of the values, in any case, or a pattern', async () => {
    const withVersion = (value: string) => routeOf('/headers', { headers: [`x-version: ${value}`] })
    assert.equal(await withVersion('v2'), 'by-header')
    assert.equal(await withVersion('V3'), 'by-header')
    assert.equal(await withVersion('Beta-12'), 'by-header-pattern')
    assert.equal(await withVersion('v4'), 'no-header')
    assert.equal(await routeOf('/headers', { headers: ['x-version: v9', 'X-Version: v2'] }), 'by-header')
    assert.equal(await routeOf('/headers', { headers: ['X_Version: v2'] }), 'no-header')
  })

  test('strip_path takes the matched prefix away, the query stays as it is', async () => {
    assert.equal(await targetOf('/stripped/anything/x?a=%20&b=c+d&&'), '/anything/x?a=%20&b=c+d&&')
    assert.equal(await targetOf('/stripped'), '/')
    assert.equal(await targetOf('/stripped?'), '/?')
    assert.equal(await targetOf('/strippedanything'), '/anything')
    assert.equal(await targetOf('/v12/users/anything'), '/anything')
    assert.equal(await targetOf('/anything/kept/x'), '/anything/kept/x')
    assert.equal(await targetOf('/with-path'), '/anything/base')
    assert.equal(await targetOf('/with-path/x'), '/anything/base/x')
  })

  test('stripping never climbs out of the base', async () => {
    assert.equal(await targetOf('/with-path../x'), '/anything/base/x')
    assert.equal(await targetOf('/with-path./x'), '/anything/base/x')
    assert.equal(await targetOf('/with-path/%2e%2e/with-path/x'), '/anything/base/x')
  })

  test('paths are matched and forwarded in normal form', async () => {
    for (const [sent, forwarded] of [
      ['/a%2fb', '/a%2Fb'],
      ['/%41', '/A'],
      ['/%61%6E%79', '/any'],
      ['//a/../b', '/b'],
      ['/a/%2e%2E/b', '/b'],
      ['/a//b/./c/', '/a/b/c/'],
      ['/a/..', '/'],
      ['/a%20b?q=%20', '/a%20b?q=%20'],
      ['/caf%c3%a9', '/caf%C3%A9'],
      ['/a%25b', '/a%25b'],
      ['/a;v=1,2', '/a;v=1,2'],
      ['/a?x=/../y', '/a?x=/../y'],
    ] as const) {
      assert.equal(await targetOf(sent, { host: 'root.test' }), forwarded, sent)
    }
    assert.equal(await routeOf('/a/x/../b'), 'escaped')
    assert.equal(await routeOf('/%61/%62'), 'escaped')
    assert.equal(await routeOf('/a%2fb'), '404')
  })

  test('preserve_host sends the Host of the client, otherwise the service has its own', async () => {
    const hostOf = () => headersOf({ headers: upstream.lastRequest?.rawHeaders ?? [] }, 'host')
    await targetOf('/preserving', { host: 'Client.Test:99' })
    assert.deepEqual(hostOf(), ['Client.Test:99'])
    await targetOf('/stripped', { host: 'Client.Test:99' })
    assert.deepEqual(hostOf(), [`127.0.0.1:${upstream.port}`])
  })

  test('no route: 404, these bytes', async () => {
    const response = await send('/no/such/route')
    const id = headerOf(response, 'x-kong-request-id')
    assert.equal(response.status, 404)
    assert.equal(headerOf(response, 'content-type'), 'application/json; charset=utf-8')
    assert.equal(response.body.toString(), `{\n  "message":"no Route matched with those values",\n  "request_id":"${id}"\n}`)
  })

  test('a route of a disabled service does not exist: the next one is taken', async () => {
    assert.equal(await routeOf('/long/prefix/disabled'), 'fallback')
  })

  test('a route without a service runs its plugins first, then 503', async () => {
    assert.equal((await send('/guarded')).status, 401)
    const response = await send('/serviceless')
    assert.equal(response.status, 503)
    assert.match(response.body.toString(), /"no Service found with those values"/)
  })

  test('a route for https alone answers 426 in clear, and a token sent in clear is not looked at', async () => {
    const calls = server.calls
    const response = await send('/https-426', { headers: ['Authorization: Bearer x'] })
    assert.equal(response.status, 426)
    assert.equal(headerOf(response, 'upgrade'), 'TLS/1.2, HTTP/1.1')
    assert.match(headerOf(response, 'connection') ?? '', /\bupgrade\b/i)
    assert.match(response.body.toString(), /"Please use HTTPS protocol"/)
    assert.equal(server.calls, calls)
  })

  test('or it redirects: the query stays, the port goes, X-Forwarded-Proto of a stranger counts for nothing', async () => {
    for (const [path, status] of [
      ['/https-301', 301],
      ['/https-308', 308],
    ] as const) {
      const headers = ['X-Forwarded-Proto: https', 'X-Forwarded-Host: evil.test']
      const response = await send(`${path}/x%2fy?a=1&b=%20`, { host: 'API.test:8000', headers })
      assert.equal(response.status, status)
      assert.equal(headerOf(response, 'location'), `https://api.test${path}/x%2fy?a=1&b=%20`)
      assert.equal(response.body.length, 0)
    }
  })
})

test('strict_paths refuses a dot segment that hides behind an encoded slash', async () => {
  await using upstream = await startEchoUpstream()
  const declarative = {
    _format_version: '3.0',
    services: [{ name: 'echo', url: upstream.origin, routes: [{ name: 'all', paths: ['/'] }] }],
  }
  await using strict = await startGateway({ database: 'off', declarative, env: { SALLYPORT_STRICT_PATHS: 'on' } })
  const statusOf = async (path: string) => (await exchange(strict.proxyPort, [`GET ${path} HTTP/1.1`, 'Host: a'])).status
  for (const path of ['/a/..%2Fb', '/a%2f..', '/a/..%5cb']) assert.equal(await statusOf(path), 400, path)
  assert.equal(await statusOf('/anything/a%2fb'), 200)
})
