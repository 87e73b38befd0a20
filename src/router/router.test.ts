import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { normalizePath } from '../http/path.ts'
import { literalPrefix, regexPathViolation } from '../http/route-regex.ts'
import { type Calculation, differentlyOrdered, priorityOf, rankGroups, splitRoute } from './priority.ts'
import { routeWith } from './route.fixture.ts'
import { InvalidRouteError, type RoutableRequest, type RouteEntity } from './router.ts'
import { createTraditionalRouter } from './traditional.ts'

let created = 0

/** Each route gets a smaller id than the one before, so that ties fall to the first made. */
function route(name: string, fields: Partial<RouteEntity> = {}): RouteEntity {
  created += 1
  return routeWith({ id: uuid(1_000_000 - created), name, ...fields })
}

function uuid(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
}

interface RequestFields {
  method?: string
  host?: string
  port?: number
  path?: string
  tls?: boolean
  sni?: string
  headers?: Record<string, string[]>
}

function request(fields: RequestFields = {}): RoutableRequest {
  const { method = 'GET', host = 'example.com', port = 8000, path = '/', tls = false, sni = null, headers = {} } = fields
  return {
    method,
    host,
    port,
    path: normalizePath(path),
    scheme: tls ? 'https' : 'http',
    sni,
    headers: { all: (name) => headers[name] ?? [] },
  }
}

/** Name of the winner, or undefined. */
function winner(
  routes: readonly RouteEntity[],
  fields: RequestFields = {},
  calculation: Calculation = 'original',
): string | null | undefined {
  return createTraditionalRouter(routes, { calculation }).match(request(fields))?.route.name
}

function matches(fields: Partial<RouteEntity>, requestFields: RequestFields): boolean {
  return winner([route('r', fields)], requestFields) === 'r'
}

describe('what matches', () => {
  test('all attributes must match, and of each attribute one value is enough', () => {
    const fields = { methods: ['GET', 'POST'], hosts: ['a.com', 'b.com'], paths: ['/x', '/yy'], headers: { 'x-v': ['1', '2'] } }
    const good = { method: 'POST', host: 'b.com', path: '/yy', headers: { 'x-v': ['2'] } }
    assert.ok(matches(fields, good))
    assert.ok(!matches(fields, { ...good, method: 'PUT' }))
    assert.ok(!matches(fields, { ...good, host: 'c.com' }))
    assert.ok(!matches(fields, { ...good, path: '/z' }))
    assert.ok(!matches(fields, { ...good, headers: { 'x-v': ['3'] } }))
  })

  test('an attribute that is absent or empty matches everything', () => {
    assert.ok(matches({ paths: ['/'] }, { method: 'PATCH', host: '', path: '/a' }))
    assert.ok(matches({ methods: [], hosts: [], paths: [], headers: {}, snis: [] }, { tls: true }))
  })

  test('no route, no match', () => {
    assert.equal(winner([]), undefined)
  })

  test('http and https in protocols take no part', () => {
    assert.ok(matches({ protocols: ['https'], paths: ['/'] }, { tls: false }))
    assert.ok(matches({ protocols: ['http'], paths: ['/'] }, { tls: true }))
  })

  test('gRPC routes match by the same attributes; stream routes never see an HTTP request', () => {
    for (const protocols of [['grpc'], ['grpcs'], ['grpc', 'grpcs']])
      assert.ok(matches({ protocols, paths: ['/pkg.Service/'] }, { path: '/pkg.Service/Do' }))
    for (const protocols of [['tcp'], ['tls'], ['udp'], ['tcp', 'tls'], ['tls_passthrough']])
      assert.ok(!matches({ protocols, snis: ['a.com'] }, {}))
  })

  test('methods are exact', () => {
    assert.ok(matches({ methods: ['GET'] }, { method: 'GET' }))
    for (const method of ['get', 'GETS', 'GE', '']) assert.ok(!matches({ methods: ['GET'] }, { method }))
  })

  test('a plain host is equal, without regard to ASCII case and one trailing dot', () => {
    for (const host of ['a.com', 'A.Com', 'a.com.', 'a.com:8000', 'A.COM.:443', 'a.com:'])
      assert.ok(matches({ hosts: ['a.com'] }, { host }), host)
    for (const host of ['b.a.com', 'a.co', 'a.comx', '', 'a.com..', '.a.com', '.', ':80'])
      assert.ok(!matches({ hosts: ['a.com'] }, { host }), host)
    assert.ok(matches({ hosts: ['A.com.'] }, { host: 'a.COM' }))
  })

  test('*.example.com matches any number of labels before it, and not the bare name', () => {
    for (const host of ['a.example.com', 'a.b.example.com', 'A.EXAMPLE.com:80', 'a.example.com.'])
      assert.ok(matches({ hosts: ['*.example.com'] }, { host }), host)
    for (const host of ['example.com', 'aexample.com', 'a.example.com.org', ''])
      assert.ok(!matches({ hosts: ['*.example.com'] }, { host }), host)
  })

  test('example.* matches any number of labels after it', () => {
    for (const host of ['example.com', 'example.co.uk', 'EXAMPLE.org:8000']) assert.ok(matches({ hosts: ['example.*'] }, { host }), host)
    for (const host of ['example', 'www.example.com', 'examples.com', 'example.'])
      assert.ok(!matches({ hosts: ['example.*'] }, { host }), host)
  })

  test('a host entry with a port wants the port of the Host header, else that of the listener', () => {
    for (const hosts of [['a.com:8000'], ['*.com:8000'], ['a.*:8000']]) {
      assert.ok(matches({ hosts }, { host: 'a.com:8000', port: 80 }))
      assert.ok(matches({ hosts }, { host: 'a.com', port: 8000 }))
      assert.ok(!matches({ hosts }, { host: 'a.com:80', port: 8000 }))
      assert.ok(!matches({ hosts }, { host: 'a.com', port: 80 }))
      assert.ok(!matches({ hosts }, { host: 'b.org', port: 8000 }))
    }
    const mixed = { hosts: ['a.com:1', 'a.com:2', '*.b.com'] }
    assert.ok(matches(mixed, { host: 'a.com:2' }))
    assert.ok(!matches(mixed, { host: 'a.com:3' }))
    assert.ok(matches(mixed, { host: 'x.b.com:3' }))
  })

  test('an IPv6 literal is one host, however it is written', () => {
    for (const entry of ['[::1]', '::1', '[0:0:0:0:0:0:0:1]']) {
      for (const host of ['[::1]', '[::1]:8000', '[0:0::1]:1']) assert.ok(matches({ hosts: [entry] }, { host }), `${entry} ${host}`)
      for (const host of ['[::2]', '[', '[::1', '[]', '::1', `[${'0'.repeat(9000)}]`])
        assert.ok(!matches({ hosts: [entry] }, { host }), host)
    }
    assert.ok(matches({ hosts: ['[::1]:8000'] }, { host: '[::1]:8000', port: 1 }))
    assert.ok(matches({ hosts: ['[::1]:8000'] }, { host: '[::1]', port: 8000 }))
    assert.ok(!matches({ hosts: ['[::1]:8000'] }, { host: '[::1]:80', port: 8000 }))
  })

  test('a plain path is a prefix of the string, not of the segments', () => {
    for (const path of ['/route', '/routereq', '/route/a', '/route%2Fa']) assert.ok(matches({ paths: ['/route'] }, { path }), path)
    for (const path of ['/', '/rout', '/Route', '/a/route']) assert.ok(!matches({ paths: ['/route'] }, { path }), path)
    assert.ok(matches({ paths: ['/'] }, { path: '/anything' }))
    assert.ok(!matches({ paths: ['/route/'] }, { path: '/route' }))
  })

  test('paths are compared as UTF-8', () => {
    assert.ok(matches({ paths: ['/café'] }, { path: '/caf%C3%A9s' }))
    assert.ok(!matches({ paths: ['/café'] }, { path: '/caf%E9' }))
  })

  test('a path that is not UTF-8 matches nothing', () => {
    for (const path of ['/%ff', '/%C3', '/%C0%AF', '/a/%ED%A0%80']) {
      assert.ok(!matches({ paths: ['/'] }, { path }), path)
      assert.ok(!matches({ hosts: ['example.com'] }, { path }), path)
      assert.ok(!matches({ paths: ['~/.*'] }, { path }), path)
    }
  })

  test('an expression is anchored at its start only', () => {
    for (const path of ['/a/1', '/a/12/x']) assert.ok(matches({ paths: ['~/a/\\d+'] }, { path }), path)
    for (const path of ['/x/a/1', '/a/x', '/a']) assert.ok(!matches({ paths: ['~/a/\\d+'] }, { path }), path)
    assert.ok(!matches({ paths: ['~/a/\\d+$'] }, { path: '/a/12/x' }))
  })

  test('the anchor binds to the first alternative only, as in Kong', () => {
    const fields = { paths: ['~/a|/b'] }
    assert.ok(matches(fields, { path: '/x/b' }))
    assert.ok(!matches(fields, { path: '/x/a' }))
  })

  test('an expression sees the normalised path, and a character is one character', () => {
    assert.ok(matches({ paths: ['~/caf.$'] }, { path: '/caf%C3%A9' }))
    assert.ok(matches({ paths: ['~/a%2Fb$'] }, { path: '/a%2fb' }))
    assert.ok(matches({ paths: ['~/a b$'] }, { path: '/x/../a%20b' }))
  })

  test('every configured header name must match, any value of it, in any case', () => {
    const fields = { headers: { 'X-A': ['One', 'two'], 'x-b': ['3'] } }
    assert.ok(matches(fields, { headers: { 'x-a': ['ONE'], 'x-b': ['3'] } }))
    assert.ok(matches(fields, { headers: { 'x-a': ['zero', 'Two'], 'x-b': ['9', '3'] } }))
    assert.ok(!matches(fields, { headers: { 'x-a': ['one'] } }))
    assert.ok(!matches(fields, { headers: { 'x-a': ['one two'], 'x-b': ['3'] } }))
    assert.ok(!matches(fields, {}))
  })

  test('a header name is not matched by its spelling with underscores', () => {
    assert.ok(!matches({ headers: { 'x-a': ['1'] } }, { headers: { x_a: ['1'] } }))
  })

  test('a header value that begins with ~* is an expression, found anywhere, also beside plain values', () => {
    const fields = { headers: { 'x-a': ['plain', '~*^V\\D\\d+'] } }
    for (const value of ['plain', 'v-12', 'V-1x']) assert.ok(matches(fields, { headers: { 'x-a': [value] } }), value)
    for (const value of ['v12', 'xv-1', '']) assert.ok(!matches(fields, { headers: { 'x-a': [value] } }), value)
    assert.ok(matches({ headers: { 'x-a': ['~*b+'] } }, { headers: { 'x-a': ['aBBc'] } }))
    assert.ok(matches({ headers: { 'x-a': ['~*^.$'] } }, { headers: { 'x-a': ['\xc3\xa9'] } }))
    assert.ok(!matches({ headers: { 'x-a': ['~*.'] } }, { headers: { 'x-a': ['\xff'] } }))
  })

  test('header values are compared byte by byte beyond ASCII', () => {
    assert.ok(matches({ headers: { 'x-a': ['CAFé'] } }, { headers: { 'x-a': ['caf\xc3\xa9'] } }))
    assert.ok(!matches({ headers: { 'x-a': ['café'] } }, { headers: { 'x-a': ['caf\xe3\xa9'] } }))
  })

  test('SNI: equal or by wildcard, without case and one trailing dot; without TLS it is not considered', () => {
    const fields = { snis: ['a.com', '*.b.com', 'c.*'] }
    for (const sni of ['a.com', 'A.com.', 'x.b.com', 'x.y.b.com', 'c.org']) assert.ok(matches(fields, { tls: true, sni }), sni)
    for (const sni of ['x.a.com', 'b.com', 'c', '']) assert.ok(!matches(fields, { tls: true, sni }), sni)
    assert.ok(!matches(fields, { tls: true }))
    assert.ok(matches(fields, { tls: false }))
    assert.ok(matches({ snis: ['a.com.'] }, { tls: true, sni: 'a.com' }))
  })
})

describe('what a match says', () => {
  test('the matched text of a path, or null for a route without paths', () => {
    const match = (fields: Partial<RouteEntity>, path: string) => createTraditionalRouter([route('r', fields)]).match(request({ path }))
    assert.equal(match({ paths: ['/a', '/b', '/abc'] }, '/abcd')?.matchedPath, '/abc')
    assert.equal(match({ paths: ['/x', '/a'] }, '/abcd')?.matchedPath, '/a')
    assert.equal(match({ paths: ['~/a/\\d+'] }, '/a/12/b')?.matchedPath, '/a/12')
    assert.equal(match({ paths: ['~/é+'] }, '/%C3%A9%C3%A9x')?.matchedPath, '/\xc3\xa9\xc3\xa9')
    assert.equal(match({ hosts: ['example.com'] }, '/a')?.matchedPath, null)
  })

  test('captures: number 0 is the whole match, then the groups, those with a name also under it', () => {
    const match = createTraditionalRouter([route('r', { paths: ['~/(?<kind>[a-z]+)/(?P<id>\\d+)(/x)?'] })]).match(
      request({ path: '/cat/12/y' }),
    )
    assert.deepEqual(match?.captures?.positional, ['/cat/12', 'cat', '12', undefined])
    assert.deepEqual({ ...match?.captures?.named }, { kind: 'cat', id: '12' })
  })

  test('a named group that took no part is absent', () => {
    const match = createTraditionalRouter([route('r', { paths: ['~/a(?<x>x)?(?<y>y)?'] })]).match(request({ path: '/ay' }))
    assert.deepEqual(Object.keys(match?.captures?.named ?? {}), ['y'])
  })

  test('without a group that took part there are no captures', () => {
    for (const paths of [['~/a/\\d'], ['~/a(x)?'], ['~/a(?:/)'], ['/a/']]) {
      assert.equal(createTraditionalRouter([route('r', { paths })]).match(request({ path: '/a/1' }))?.captures, null, paths.join())
    }
  })

  test('captures are byte strings of the normalised path, and a group may bear any name', () => {
    const match = createTraditionalRouter([route('r', { paths: ['~/(?<__proto__>.+)'] })]).match(request({ path: '/%c3%a9/%2f' }))
    assert.deepEqual(Object.entries(match?.captures?.named ?? {}), [['__proto__', '\xc3\xa9/%2F']])
  })

  test('of several expressions the first configured that matches speaks', () => {
    const match = createTraditionalRouter([route('r', { paths: ['~/b', '~/a(.)', '~/a(..)'] })]).match(request({ path: '/axy' }))
    assert.deepEqual(match?.captures?.positional, ['/ax', 'x'])
  })

  test('the match carries the very route object', () => {
    const only = route('r', { paths: ['/'] })
    assert.equal(createTraditionalRouter([only]).match(request())?.route, only)
  })
})

/** Both win on their own for this request; `first` must win together, whatever the ids and the order of input. */
function assertOrder(calculation: Calculation, first: Partial<RouteEntity>, second: Partial<RouteEntity>, fields: RequestFields): void {
  for (const [firstId, secondId] of [
    [uuid(1), uuid(2)],
    [uuid(2), uuid(1)],
  ] as const) {
    const a = route('first', { ...first, id: firstId })
    const b = route('second', { ...second, id: secondId })
    assert.equal(winner([b], fields, calculation), 'second', 'the loser matches on its own')
    assert.equal(winner([a, b], fields, calculation), 'first')
    assert.equal(winner([b, a], fields, calculation), 'first')
  }
}

function assertOrderInBoth(first: Partial<RouteEntity>, second: Partial<RouteEntity>, fields: RequestFields): void {
  assertOrder('original', first, second, fields)
  assertOrder('strict', first, second, fields)
}

const everything: RequestFields = {
  method: 'GET',
  host: 'a.com',
  path: '/foo/bar',
  tls: true,
  sni: 'a.com',
  headers: { 'x-a': ['1'], 'x-b': ['1'], 'x-c': ['1'] },
}

describe('which wins', () => {
  test('more attributes before fewer, when neither plain hosts nor expressions differ', () => {
    assertOrderInBoth({ methods: ['GET'], paths: ['/foo'] }, { paths: ['/foo/bar'] }, everything)
    assertOrderInBoth({ methods: ['GET'], headers: { 'x-a': ['1'] }, paths: ['/'] }, { methods: ['GET'], paths: ['/foo'] }, everything)
    assertOrderInBoth({ hosts: ['a.com'], methods: ['GET'] }, { hosts: ['a.com'] }, everything)
    assertOrderInBoth({ snis: ['a.com'], paths: ['/'] }, { paths: ['/foo'] }, everything)
  })

  test('four and five attributes before three', () => {
    const three = { hosts: ['a.com'], methods: ['GET'], paths: ['~/foo/bar'], regex_priority: 5 }
    const four = { hosts: ['*.com'], methods: ['GET'], paths: ['/'], headers: { 'x-a': ['1'] } }
    assertOrderInBoth(four, three, everything)
    assertOrderInBoth({ ...four, snis: ['a.com'] }, four, everything)
  })

  test('strict: two attributes before a plain host; original: the plain host first', () => {
    const host = { hosts: ['a.com'] }
    const two = { methods: ['GET'], paths: ['/foo'] }
    assertOrder('strict', two, host, everything)
    assertOrder('original', host, two, everything)
  })

  test('strict: two attributes before an expression; original: the expression first', () => {
    const regex = { paths: ['~/foo'] }
    const two = { methods: ['GET'], paths: ['/foo'] }
    assertOrder('strict', two, regex, everything)
    assertOrder('original', regex, two, everything)
  })

  test('original: a plain host before an expression, and that before the number of attributes', () => {
    assertOrder('original', { hosts: ['a.com'] }, { methods: ['GET'], paths: ['~/foo'] }, everything)
    assertOrder('original', { paths: ['~/foo'] }, { methods: ['GET'], headers: { 'x-a': ['1'] }, paths: ['/foo'] }, everything)
  })

  test('plain hosts before wildcard hosts, and one wildcard among the hosts makes the difference', () => {
    assertOrderInBoth({ hosts: ['a.com'] }, { hosts: ['*.com'] }, everything)
    assertOrderInBoth({ hosts: ['a.com', 'b.com'] }, { hosts: ['a.com', '*.b.com'] }, everything)
    assertOrderInBoth({ hosts: ['a.com'], paths: ['/'] }, { hosts: ['a.*'], paths: ['/foo/bar'] }, everything)
  })

  test('more header names before fewer', () => {
    assertOrderInBoth({ headers: { 'x-a': ['1'], 'x-b': ['1'] } }, { headers: { 'x-a': ['1'] } }, everything)
    assertOrderInBoth({ headers: { 'x-a': ['1'], 'x-b': ['1'] }, paths: ['/'] }, { headers: { 'x-c': ['1'] }, paths: ['/foo'] }, everything)
  })

  test('strict: more header names before an expression; original: the expression first', () => {
    const names = { headers: { 'x-a': ['1'], 'x-b': ['1'] }, paths: ['/foo'] }
    const regex = { headers: { 'x-a': ['1'] }, paths: ['~/foo'] }
    assertOrder('strict', names, regex, everything)
    assertOrder('original', regex, names, everything)
  })

  test('expressions before plain paths', () => {
    assertOrderInBoth({ paths: ['~/f'] }, { paths: ['/foo/bar'] }, everything)
  })

  test('of expressions the higher regex_priority, whatever their length', () => {
    assertOrderInBoth({ paths: ['~/f'], regex_priority: 10 }, { paths: ['~/foo/bar'], regex_priority: 9 }, everything)
    assertOrderInBoth({ paths: ['~/f'], regex_priority: 1 }, { paths: ['~/foo/bar'], regex_priority: null }, everything)
  })

  test('regex_priority has no weight for plain paths', () => {
    assertOrderInBoth({ paths: ['/foo/bar'], regex_priority: 0 }, { paths: ['/foo'], regex_priority: 100 }, everything)
  })

  test('strict: a negative regex_priority ranks below zero; original: above all, as Kong computes it', () => {
    assertOrder('strict', { paths: ['~/f'], regex_priority: 0 }, { paths: ['~/f'], regex_priority: -1 }, everything)
    assertOrder('original', { paths: ['~/f'], regex_priority: -1 }, { paths: ['~/f'], regex_priority: 0 }, everything)
  })

  test('the longer path, in bytes', () => {
    assertOrderInBoth({ paths: ['/foo/'] }, { paths: ['/foo'] }, everything)
    assertOrderInBoth({ paths: ['/é'] }, { paths: ['/'] }, { path: '/%C3%A9' })
    assertOrderInBoth({ paths: ['/x', '/foo/bar'] }, { paths: ['/xxxxxxxxxxxxxxx', '/foo/'] }, everything)
  })

  test('a route is evaluated once per length of its paths, and once for its expressions', () => {
    const split = route('split', { paths: ['/a', '/foo/bar'] })
    const between = route('between', { paths: ['/foo'] })
    assert.equal(winner([between, split], { path: '/foo/bar' }), 'split')
    assert.equal(winner([between, split], { path: '/foo' }), 'between')
    const mixed = route('mixed', { paths: ['/', '~/re/\\d'] })
    assert.equal(winner([between, mixed], { path: '/foo' }), 'between')
    assert.equal(winner([route('plain', { paths: ['/re/1'] }), mixed], { path: '/re/1' }), 'mixed')
  })

  test('hosts and methods are not split: a wildcard among the hosts lowers all of them', () => {
    const mixed = { hosts: ['a.com', '*.b.com'], paths: ['/foo'] }
    assertOrderInBoth({ hosts: ['a.com'], paths: ['/'] }, mixed, everything)
  })

  test('equal priority: the greater UUID, without regard to case; created_at plays no part', () => {
    const low = route('low', { id: 'aaaaaaaa-0000-4000-8000-000000000000', paths: ['/foo'], created_at: 1 })
    const high = route('high', { id: 'BBBBBBBB-0000-4000-8000-000000000000', paths: ['/foo'], created_at: 2 })
    for (const calculation of ['original', 'strict'] as const) {
      for (const routes of [
        [low, high],
        [high, low],
      ]) {
        assert.equal(winner(routes, { path: '/foo' }, calculation), 'high')
        const older = routes.map((each) => ({ ...each, created_at: 3 - each.created_at }))
        assert.equal(winner(older, { path: '/foo' }, calculation), 'high')
      }
    }
  })

  test('equal priority without paths: the greater UUID likewise', () => {
    const low = route('low', { id: 'AAAAAAAA-0000-4000-8000-000000000000', methods: ['GET'] })
    const high = route('high', { id: 'bbbbbbbb-0000-4000-8000-000000000000', methods: ['GET'] })
    const highest = route('highest', { id: 'CCCCCCCC-0000-4000-8000-000000000000', methods: ['GET'] })
    assert.equal(winner([highest, low, high]), 'highest')
    assert.equal(winner([low, high]), 'high')
  })

  test('a plain route that outranks an expression tried before it leaves no trace of the expression', () => {
    const routes = [
      route('unmatched', { hosts: ['example.com'], methods: ['POST'], paths: ['/'] }),
      route('plain', { hosts: ['example.com'], paths: ['/foo'] }),
      route('regex', { paths: ['~/(.*)'] }),
      route('first', { hosts: ['example.com'], methods: ['POST'], paths: ['~/(x)?'] }),
    ]
    const match = createTraditionalRouter(routes).match(request({ path: '/foo/a' }))
    assert.deepEqual([match?.route.name, match?.matchedPath, match?.captures], ['plain', '/foo', null])
  })

  test('the parts of a split route are ordered by ids derived as in Kong', () => {
    const ids = splitRoute(route('r', { id: uuid(1), paths: ['/a', '~/b', '/ccc', '/d', '~/e'] })).map(({ id, paths }) => [id, ...paths])
    assert.deepEqual(ids, [
      ['4c27e75c-320f-5c7d-8070-fbf84b203a9e', '/a', '/d'],
      ['88c08b1f-2356-5fee-847d-a5eb1652c82d', '~/b', '~/e'],
      ['fa14c8b4-88cf-58c8-bbee-c94b91bef4fb', '/ccc'],
    ])
    const whole = splitRoute(route('r', { id: uuid(1), paths: ['/a', '/b'] }))
    assert.deepEqual(whole, [{ id: uuid(1), paths: ['/a', '/b'], regex: false }])
  })

  test('when the best route does not match in all, the next one is taken', () => {
    const routes = [
      route('post', { methods: ['POST'], paths: ['/foo'] }),
      route('host', { hosts: ['b.com'], paths: ['/foo'] }),
      route('regex', { paths: ['~/foo/\\d'] }),
      route('plain', { paths: ['/foo'] }),
    ]
    assert.equal(winner(routes, { path: '/foo/bar' }), 'plain')
    assert.equal(winner(routes, { path: '/foo/1' }), 'regex')
    assert.equal(winner(routes, { path: '/foo', method: 'POST' }), 'post')
    assert.equal(winner(routes, { path: '/bar' }), undefined)
  })

  test('original: the 64-bit words are those of 32-bit shifts', () => {
    const word = (fields: Partial<RouteEntity>) => {
      const each = route('r', fields)
      return priorityOf(each, splitRoute(each)[0]!, 'original')
    }
    assert.equal(word({ methods: ['GET'] }), 0x2000_0000n)
    assert.equal(word({ methods: ['GET'], paths: ['/ab'] }), 0x4000_0003n)
    assert.equal(word({ hosts: ['a.com'] }), 0x1000_0000_2000_0000n)
    assert.equal(word({ hosts: ['*.com'] }), 0x2000_0000n)
    assert.equal(word({ paths: ['~/ab'], regex_priority: 3 }), 0x0008_0000_2018_0000n)
    assert.equal(word({ headers: { a: ['1'], b: ['1'] } }), 0x2020_0000n)
    assert.equal(word({ hosts: ['*.com'], methods: ['GET'], snis: ['a'], paths: ['/'] }), 0xffff_ffff_8000_0001n)
    assert.equal(word({ hosts: ['a.com'], methods: ['GET'], snis: ['a'], paths: ['/'] }), 0xffff_ffff_8000_0001n)
    assert.equal(word({ hosts: ['a.com'], methods: ['GET'], snis: ['a'], paths: ['/'], headers: { a: ['1'] } }), 0xffff_ffff_a010_0001n)
  })

  test('strict: the 64-bit words are as documented', () => {
    const word = (fields: Partial<RouteEntity>) => {
      const each = route('r', fields)
      return priorityOf(each, splitRoute(each)[0]!, 'strict')
    }
    assert.equal(word({ methods: ['GET'], paths: ['/ab'] }), (2n << 61n) | 3n)
    assert.equal(word({ hosts: ['a.com'], headers: { a: ['1'], b: ['1'] } }), (2n << 61n) | (1n << 60n) | (2n << 52n))
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`h${index}`, ['1']]))
    assert.equal(word({ headers: many }), (1n << 61n) | (255n << 52n))
    assert.equal(word({ paths: ['~/ab'], regex_priority: 0 }) >> 51n, (1n << 10n) | 1n)
    assert.ok(word({ paths: ['~/ab'], regex_priority: 2 ** 40 }) < word({ methods: ['GET'], paths: ['/'] }))
  })
})

describe('routes ordered differently by the two calculations', () => {
  test('none when there is nothing to tell', () => {
    assert.deepEqual(differentlyOrdered([]), [])
    assert.deepEqual(differentlyOrdered([route('a', { paths: ['/a', '/aa', '~/a'] }), route('b', { paths: ['/b'] })]), [])
  })

  test('a pair is named with the winner of each', () => {
    const host = route('host', { hosts: ['a.com'] })
    const two = route('two', { methods: ['GET'], paths: ['/foo'] })
    assert.deepEqual(differentlyOrdered([two, host]), [{ winsInOriginal: host, winsInStrict: two }])
  })

  test('at most ten pairs, each once', () => {
    const routes = Array.from({ length: 50 }, (_, index) =>
      route(`h${index}`, index % 2 === 0 ? { hosts: ['a.com'] } : { methods: ['GET'], paths: ['/a', '/bb'] }),
    )
    const pairs = differentlyOrdered(routes)
    assert.equal(pairs.length, 10)
    assert.equal(new Set(pairs.map((pair) => `${pair.winsInOriginal.id} ${pair.winsInStrict.id}`)).size, 10)
    assert.equal(differentlyOrdered(routes, 3).length, 3)
  })

  test('property: empty exactly when no two groups of different routes change places', () => {
    fc.assert(
      fc.property(routesArbitrary(1, 5), (routes) => {
        const strict = rankGroups(routes, 'strict')
        const original = rankGroups(routes, 'original')
        const place = new Map(strict.map(({ group }, index) => [group.id, index]))
        const changed = original.some((a, i) =>
          original.slice(i + 1).some((b) => a.route !== b.route && place.get(a.group.id)! > place.get(b.group.id)!),
        )
        const pairs = differentlyOrdered(routes, 1000)
        assert.equal(pairs.length > 0, changed)
        for (const { winsInOriginal, winsInStrict } of pairs) assert.notEqual(winsInOriginal, winsInStrict)
      }),
      { numRuns: 500 },
    )
  })
})

describe('hostile and broken input', () => {
  test('an expression that does not compile is refused with route and field', () => {
    const cases: [fields: Partial<RouteEntity>, field: string][] = [
      [{ paths: ['/ok', '~/('] }, 'paths'],
      [{ paths: ['~/a(?=b)'] }, 'paths'],
      [{ paths: ['~/(a)\\1'] }, 'paths'],
      [{ headers: { 'x-a': ['~*['] } }, 'headers'],
    ]
    for (const [fields, field] of cases) {
      const broken = route('broken', fields)
      assert.throws(
        () => createTraditionalRouter([broken]),
        (error) =>
          error instanceof InvalidRouteError && error.code === 'GW_INVALID_ROUTE' && error.routeId === broken.id && error.field === field,
      )
    }
    assert.equal(regexPathViolation('~/a/\\d+'), undefined)
    assert.match(regexPathViolation('~/(') ?? '', /^invalid regex: '\/\(' \(PCRE returned: .+\)$/)
  })

  test('expressions that explode in a backtracking engine end at once', () => {
    const hostile = `/${'a'.repeat(8000)}!`
    const started = process.hrtime.bigint()
    for (const path of [
      '~/(a+)+$',
      '~/(a|a)*$',
      '~/(a|aa)+$',
      '~/(.*)*x$',
      '~/(([a-z]+.)+[A-Z]([a-z])+)+$',
      '~/(a?){500}a{500}$',
      '~/(x+x+)+y|(a*)*$x',
    ]) {
      assert.equal(winner([route('r', { paths: [path] })], { path: hostile }), undefined, path)
    }
    for (const value of ['~*(a+)+$', '~*^(a|a)*$']) {
      assert.equal(
        winner([route('r', { headers: { 'x-a': [value] } })], { headers: { 'x-a': [`${'a'.repeat(8000)}!`] } }),
        undefined,
        value,
      )
    }
    const elapsedMs = Number(process.hrtime.bigint() - started) / 1e6
    assert.ok(elapsedMs < 2000, `${elapsedMs} ms`)
  })

  test('an expression whose repetitions would blow up its program is refused', () => {
    for (const path of ['~/((a{100}){100}){100}', '~/(((a{10}){10}){10}){10}', '~/a{5000}'])
      assert.notEqual(regexPathViolation(path), undefined, path)
  })

  test('odd hosts match no host route and break nothing', () => {
    for (const host of [
      '',
      ':',
      '::',
      '[',
      ']',
      '[]:80',
      '[::1',
      '.',
      '..',
      '*',
      '*.com',
      'a.com:99999999999',
      '__proto__',
      '\xff',
      'a'.repeat(100_000),
      '.'.repeat(100_000),
    ]) {
      assert.equal(
        winner([route('r', { hosts: ['b.com', '*.b.com', 'b.*', 'b.com:80', '[::2]'] }), route('any', { paths: ['/'] })], { host }),
        'any',
        host.slice(0, 20),
      )
    }
  })
})

describe('expressions are filed by the literal text they begin with', () => {
  test('it ends where something is not plainly literal', () => {
    for (const [expression, expected] of [
      ['/users/\\d+', '/users/'],
      ['/users/(\\d+|me)', '/users/'],
      ['/a\\.b/.*', '/a.b/'],
      ['/ab*', '/a'],
      ['/ab?c', '/a'],
      ['/ab{0,1}', '/a'],
      ['/ab+', '/a'],
      ['/a\\.?', '/a'],
      ['/abc$', '/abc'],
      ['/a|/b', ''],
      ['/a(x|y)|/b', ''],
      ['/a[|]b', '/a'],
      ['/a[]|]b', '/a'],
      ['/a[^]|]b', '/a'],
      ['/a[[:alpha:]|]b', '/a'],
      ['/a[\\]|]b', '/a'],
      ['/a[b]|/c', ''],
      ['/a\\|b', '/a|b'],
      ['/a\\Qb|c\\E', ''],
      ['/a\\Qbc\\E', '/a'],
      ['/caf\u00e9', '/caf'],
      ['/a\\pL', '/a'],
      ['/a\\', '/a'],
    ] as const) {
      assert.equal(literalPrefix(expression), expected, expression)
    }
  })
})

describe('the index agrees with trying every route in turn', () => {
  test('property: for both calculations and any routes', () => {
    fc.assert(
      fc.property(
        routesArbitrary(0, 25),
        fc.array(requestArbitrary(), { minLength: 1, maxLength: 20 }),
        fc.constantFrom('original', 'strict'),
        (routes, requests, calculation) => {
          const router = createTraditionalRouter(routes, { calculation })
          const ranked = rankGroups(routes, calculation)
          for (const each of requests) {
            const expected = ranked.find(({ route: candidate, group }) => plainlyMatches(candidate, group.paths, each))
            const match = router.match(each)
            assert.equal(match?.route, expected?.route)
            assert.equal(match?.matchedPath ?? null, plainlyMatched(expected?.group.paths ?? [], each.path))
          }
        },
      ),
      { numRuns: 2000 },
    )
  })
})

/** The rules again, as slow and plain as can be, on JavaScript's own expressions. */
function plainlyMatches(candidate: RouteEntity, paths: readonly string[], subject: RoutableRequest): boolean {
  const name = subject.host.replace(/:.*/, '').replace(/\.$/, '').toLowerCase()
  const port = subject.host.includes(':') ? Number(subject.host.replace(/.*:/, '')) : subject.port
  const host = (entry: string) => {
    const [pattern = '', wanted] = entry.split(':')
    const fits = pattern.startsWith('*')
      ? name.endsWith(pattern.slice(1))
      : pattern.endsWith('*')
        ? name.startsWith(pattern.slice(0, -1))
        : name === pattern
    return fits && (wanted === undefined || Number(wanted) === port)
  }
  const path = (entry: string) =>
    entry.startsWith('~') ? new RegExp(`^${entry.slice(1)}`).test(subject.path) : subject.path.startsWith(entry)
  const sni = (entry: string) => subject.scheme === 'http' || subject.sni === entry
  const header = ([headerName, values]: [string, string[]]) => values.some((value) => subject.headers.all(headerName).includes(value))
  const some = (values: readonly string[] | null, test: (value: string) => boolean) =>
    values === null || values.length === 0 || values.some(test)
  return (
    some(candidate.methods, (method) => method === subject.method) &&
    some(candidate.hosts, host) &&
    some(paths, path) &&
    some(candidate.snis, sni) &&
    Object.entries(candidate.headers ?? {}).every(header)
  )
}

function plainlyMatched(paths: readonly string[], path: string): string | null {
  for (const each of paths) {
    const matched = each.startsWith('~') ? new RegExp(`^${each.slice(1)}`).exec(path)?.[0] : path.startsWith(each) ? each : undefined
    if (matched !== undefined) return matched
  }
  return null
}

function setOf<T>(...values: T[]): fc.Arbitrary<T[] | null> {
  return fc.option(fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 }), { nil: null })
}

function routesArbitrary(minLength: number, maxLength: number): fc.Arbitrary<RouteEntity[]> {
  const path = fc.oneof(
    fc.array(fc.constantFrom('a', 'b', '/', 'ab', '/a'), { maxLength: 4 }).map((parts) => normalizePath(`/${parts.join('')}`)),
    fc.constantFrom(
      '~/a',
      '~/a/\\d',
      '~/a.*b',
      '~/b|/a',
      '~/ab?',
      '~/a/(b|a)',
      '~/[ab]/',
      '~/.*/b$',
      '~/a/b+',
      '~/(a|b)|b/b',
      '~/\\/?a',
      '~/a[|]|b',
    ),
  )
  const fields = fc.record({
    methods: setOf('GET', 'POST'),
    hosts: setOf('a.com', 'b.a.com', '*.a.com', '*.com', 'a.*', 'b.*', 'a.com:80', '*.com:81', 'c.org'),
    paths: fc.option(fc.uniqueArray(path, { minLength: 1, maxLength: 4 }), { nil: null }),
    headers: fc.option(fc.dictionary(fc.constantFrom('x-a', 'x-b'), fc.array(fc.constantFrom('1', '2'), { minLength: 1, maxLength: 2 })), {
      nil: null,
    }),
    snis: setOf('a.com', 'b.com'),
    regex_priority: fc.constantFrom(0, 0, 1, 5, -1, 5000),
  })
  return fc.array(fields, { minLength, maxLength }).map((all) => all.map((each, index) => route(`r${index}`, each)))
}

function requestArbitrary(): fc.Arbitrary<RoutableRequest> {
  return fc
    .record({
      method: fc.constantFrom('GET', 'POST', 'PUT'),
      host: fc.constantFrom('a.com', 'A.com.', 'a.com:80', 'a.com:81', 'b.a.com', 'x.b.a.com:81', 'b.org', 'c.org', ''),
      port: fc.constantFrom(80, 8000),
      path: fc.array(fc.constantFrom('a', 'b', '/', 'ab', '/a', '/b/', '1', '|'), { maxLength: 5 }).map((parts) => `/${parts.join('')}`),
      tls: fc.boolean(),
      sni: fc.constantFrom('a.com', 'b.com'),
      headers: fc.dictionary(fc.constantFrom('x-a', 'x-b'), fc.array(fc.constantFrom('1', '2', '3'), { maxLength: 2 })),
    })
    .map(request)
}
