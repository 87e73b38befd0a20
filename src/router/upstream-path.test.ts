import assert from 'node:assert/strict'
import { test } from 'node:test'
import { escapePath, normalizePath } from '../http/path.ts'
import { routeWith } from './route.fixture.ts'
import type { RoutableRequest } from './router.ts'
import { createTraditionalRouter } from './traditional.ts'
import { upstreamPathV0, upstreamPathV1 } from './upstream-path.ts'

type Vector = readonly [
  servicePath: string,
  routePath: string | null,
  requestPath: string,
  keepV0: string,
  keepV1: string,
  stripV0: string,
  stripV1: string,
]

/** The cases of Kong's own table of path handling; null: the route has no path and matches by host. */
const vectors: readonly Vector[] = [
  ['/', '/', '/', '/', '/', '/', '/'],
  ['/', '/', '/route', '/route', '/route', '/route', '/route'],
  ['/', '/', '/route/', '/route/', '/route/', '/route/', '/route/'],
  ['/', '/', '/routereq', '/routereq', '/routereq', '/routereq', '/routereq'],
  ['/', '/', '/route/req', '/route/req', '/route/req', '/route/req', '/route/req'],
  ['/', '/route', '/route', '/route', '/route', '/', '/'],
  ['/', '/route', '/route/', '/route/', '/route/', '/', '/'],
  ['/', '/route', '/routereq', '/routereq', '/routereq', '/req', '/req'],
  ['/', '/route/', '/route/', '/route/', '/route/', '/', '/'],
  ['/', '/route/', '/route/req', '/route/req', '/route/req', '/req', '/req'],
  ['/srv', '/rou', '/roureq', '/srv/roureq', '/srvroureq', '/srv/req', '/srvreq'],
  ['/srv/', '/rou', '/rou', '/srv/rou', '/srv/rou', '/srv', '/srv/'],
  ['/service', '/', '/', '/service', '/service', '/service', '/service'],
  ['/service', '/', '/route', '/service/route', '/serviceroute', '/service/route', '/serviceroute'],
  ['/service', '/', '/route/', '/service/route/', '/serviceroute/', '/service/route/', '/serviceroute/'],
  ['/service', '/', '/routereq', '/service/routereq', '/serviceroutereq', '/service/routereq', '/serviceroutereq'],
  ['/service', '/', '/route/req', '/service/route/req', '/serviceroute/req', '/service/route/req', '/serviceroute/req'],
  ['/service', '/route', '/route', '/service/route', '/serviceroute', '/service', '/service'],
  ['/service', '/route', '/route/', '/service/route/', '/serviceroute/', '/service/', '/service/'],
  ['/service', '/route', '/routereq', '/service/routereq', '/serviceroutereq', '/service/req', '/servicereq'],
  ['/service', '/route', '/route./req', '/service/route./req', '/serviceroute./req', '/service/req', '/servicereq'],
  ['/service', '/route', '/route%2E/req', '/service/route./req', '/serviceroute./req', '/service/req', '/servicereq'],
  ['/service', '/route', '/route%2e/req', '/service/route./req', '/serviceroute./req', '/service/req', '/servicereq'],
  ['/service', '/route', '/route../req', '/service/route../req', '/serviceroute../req', '/service/req', '/servicereq'],
  ['/service', '/route', '/route%2E%2E/req', '/service/route../req', '/serviceroute../req', '/service/req', '/servicereq'],
  ['/service', '/route', '/route%2e%2E/req', '/service/route../req', '/serviceroute../req', '/service/req', '/servicereq'],
  ['/service', '/route/', '/route/', '/service/route/', '/serviceroute/', '/service/', '/service'],
  ['/service', '/route/', '/route/req', '/service/route/req', '/serviceroute/req', '/service/req', '/servicereq'],
  ['/service/', '/', '/route/', '/service/route/', '/service/route/', '/service/route/', '/service/route/'],
  ['/service/', '/', '/', '/service/', '/service/', '/service/', '/service/'],
  ['/service/', '/', '/route', '/service/route', '/service/route', '/service/route', '/service/route'],
  ['/service/', '/', '/routereq', '/service/routereq', '/service/routereq', '/service/routereq', '/service/routereq'],
  ['/service/', '/', '/route/req', '/service/route/req', '/service/route/req', '/service/route/req', '/service/route/req'],
  ['/service/', '/route', '/route', '/service/route', '/service/route', '/service', '/service/'],
  ['/service/', '/route', '/route/', '/service/route/', '/service/route/', '/service/', '/service/'],
  ['/service/', '/route', '/routereq', '/service/routereq', '/service/routereq', '/service/req', '/service/req'],
  ['/service/', '/route', '/route./req', '/service/route./req', '/service/route./req', '/service/req', '/service/req'],
  ['/service/', '/route', '/route%2E/req', '/service/route./req', '/service/route./req', '/service/req', '/service/req'],
  ['/service/', '/route', '/route%2e/req', '/service/route./req', '/service/route./req', '/service/req', '/service/req'],
  ['/service/', '/route', '/route../req', '/service/route../req', '/service/route../req', '/service/req', '/service/req'],
  ['/service/', '/route', '/route%2E%2E/req', '/service/route../req', '/service/route../req', '/service/req', '/service/req'],
  ['/service/', '/route', '/route%2e%2E/req', '/service/route../req', '/service/route../req', '/service/req', '/service/req'],
  ['/service/', '/route/', '/route/', '/service/route/', '/service/route/', '/service/', '/service/'],
  ['/service/', '/route/', '/route/req', '/service/route/req', '/service/route/req', '/service/req', '/service/req'],
  ['/', null, '/', '/', '/', '/', '/'],
  ['/', null, '/route', '/route', '/route', '/route', '/route'],
  ['/', null, '/route/', '/route/', '/route/', '/route/', '/route/'],
  ['/service', null, '/', '/service', '/service', '/service', '/service'],
  ['/service', null, '/route', '/service/route', '/serviceroute', '/service/route', '/serviceroute'],
  ['/service', null, '/route/', '/service/route/', '/serviceroute/', '/service/route/', '/serviceroute/'],
  ['/service/', null, '/', '/service/', '/service/', '/service/', '/service/'],
  ['/service/', null, '/route', '/service/route', '/service/route', '/service/route', '/service/route'],
  ['/service/', null, '/route/', '/service/route/', '/service/route/', '/service/route/', '/service/route/'],
]

test('the upstream path follows path_handling v0', () => {
  for (const [servicePath, routePath, request, keep, , strip] of vectors) {
    const path = normalizePath(request)
    assert.equal(upstreamPathV0(servicePath, path, routePath, false), keep, `${servicePath} ${routePath} ${request} keep`)
    assert.equal(upstreamPathV0(servicePath, path, routePath, true), strip, `${servicePath} ${routePath} ${request} strip`)
  }
})

test('the upstream path follows path_handling v1', () => {
  for (const [servicePath, routePath, request, , keep, , strip] of vectors) {
    const path = normalizePath(request)
    assert.equal(upstreamPathV1(servicePath, path, routePath, false), keep, `${servicePath} ${routePath} ${request} keep`)
    assert.equal(upstreamPathV1(servicePath, path, routePath, true), strip, `${servicePath} ${routePath} ${request} strip`)
  }
})

test('the router hands over what the upstream path needs: every case of the table through a match', () => {
  for (const [servicePath, routePath, request, , , strip] of vectors) {
    const path = normalizePath(request)
    const match = createTraditionalRouter([routeWith({ paths: routePath === null ? null : [routePath] })]).match(requestFor(path))
    assert.ok(match, `${routePath} ${request}`)
    assert.equal(upstreamPathV0(servicePath, path, match.matchedPath, true), strip)
  }
})

test('what a regular expression matched is stripped', () => {
  const router = createTraditionalRouter([routeWith({ paths: ['~/\\d+/users'] })])
  const match = router.match(requestFor('/42/users/7'))
  assert.equal(match?.matchedPath, '/42/users')
  assert.equal(upstreamPathV0('/v1', '/42/users/7', match.matchedPath, true), '/v1/7')
})

test('a service without path counts as /', () => {
  assert.equal(upstreamPathV0(null, '/route/a', '/route', true), '/a')
  assert.equal(upstreamPathV0(null, '/route', '/route', true), '/')
  assert.equal(upstreamPathV1(null, '/route/a', null, false), '/route/a')
})

test('what is left after stripping cannot climb out of the path of the service', () => {
  for (const [request, expected] of [
    ['/route..', '/service'],
    ['/route.', '/service'],
    ['/route../a', '/service/a'],
    ['/route./a', '/service/a'],
  ] as const) {
    assert.equal(upstreamPathV0('/service', normalizePath(request), '/route', true), expected)
    assert.equal(upstreamPathV0('/service/', normalizePath(request), '/route', true), expected)
  }
  assert.equal(upstreamPathV1('/service/', normalizePath('/route../a'), '/route', true), '/service/a')
})

test('bytes that are not ASCII are stripped and escaped whole', () => {
  const path = normalizePath('/caf%c3%a9/%c3%bc')
  const match = createTraditionalRouter([routeWith({ paths: ['/café'] })]).match(requestFor(path))
  assert.equal(escapePath(upstreamPathV0('/s', path, match?.matchedPath ?? null, true)), '/s/%C3%BC')
})

function requestFor(path: string): RoutableRequest {
  return { method: 'GET', host: 'example.com', port: 80, path, scheme: 'http', sni: null, headers: { all: () => [] } }
}
