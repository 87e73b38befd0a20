import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ArgumentsError, decodeForm, decodeQuery, isDeeperThan, readArguments } from './arguments.ts'

const FORM = 'application/x-www-form-urlencoded'
const bytes = (text: string) => Buffer.from(text)

async function refusal(contentTypes: string[], body: string, options = {}): Promise<[number, string | null]> {
  try {
    await readArguments(contentTypes, bytes(body), options)
  } catch (error) {
    assert.ok(error instanceof ArgumentsError)
    return [error.status, error.text]
  }
  return assert.fail('was accepted')
}

test('a body without Content-Type is refused unless it is empty', async () => {
  assert.deepEqual(await readArguments([], bytes('')), { kind: 'none', values: {}, text: null })
  assert.deepEqual(await refusal([], 'a=b'), [415, null])
})

test('content types are recognised by their case-sensitive beginning, parameters ignored', async () => {
  assert.deepEqual((await readArguments(['application/json; charset=utf-8'], bytes('{"a":1}'))).values, { a: 1 })
  assert.deepEqual((await readArguments([`${FORM};charset=x`], bytes('a=1'))).values, { a: '1' })
  for (const type of ['Application/JSON', 'text/plain', 'application/xml']) assert.deepEqual(await refusal([type], ''), [415, null], type)
})

test('more than one Content-Type is refused', async () => {
  assert.deepEqual(await refusal(['application/json', 'application/json'], '{}'), [400, 'Multiple Content-Type headers not allowed'])
})

test('YAML is accepted only where asked for, and handed on as text', async () => {
  assert.deepEqual(await refusal(['text/yaml'], 'a: 1'), [415, null])
  for (const type of ['text/yaml', 'application/yaml']) {
    assert.deepEqual(await readArguments([type], bytes('a: 1'), { yaml: true }), { kind: 'yaml', values: {}, text: 'a: 1' })
  }
})

test('JSON that is empty, malformed, no object, or nested beyond 1000 levels is refused without quoting it', async () => {
  for (const body of ['', '{', '"secret"', '[1]', 'null', '3', `{"a":${'['.repeat(1001)}${']'.repeat(1001)}}`, '['.repeat(200_000)]) {
    assert.deepEqual(await refusal(['application/json'], body), [400, 'Cannot parse JSON body'], body.slice(0, 10))
  }
})

test('JSON is literal: types stay, dotted keys stay, of duplicated members the last wins', async () => {
  const { values } = await readArguments(['application/json'], bytes('{"a.b":"80","n":1,"n":2,"z":null}'))
  assert.deepEqual(values, { 'a.b': '80', n: 2, z: null })
})

test('a form is UTF-8 whether its bytes are escaped or not', async () => {
  assert.deepEqual((await readArguments([FORM], bytes('a=jürgen&b=j%C3%BCrgen&€=1'))).values, { a: 'jürgen', b: 'jürgen', '€': '1' })
})

test('a member called __proto__ is an ordinary member, in JSON and in forms', async () => {
  const { values } = await readArguments(['application/json'], bytes('{"__proto__":{"polluted":1},"a":{"__proto__":2}}'))
  assert.deepEqual(Object.keys(values), ['__proto__', 'a'])
  assert.equal(Object.getPrototypeOf(values), Object.prototype)
  const form = decodeForm('__proto__.polluted=1&constructor.prototype.polluted=1&a[__proto__][polluted]=1&__proto__=x')
  assert.equal(Object.getPrototypeOf(form), Object.prototype)
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
  assert.ok(Object.hasOwn(form, '__proto__') && Object.hasOwn(form, 'constructor'))
})

test('depth is measured without recursion', () => {
  assert.equal(isDeeperThan([[1]], 2), false)
  assert.equal(isDeeperThan([[1]], 1), true)
  assert.equal(isDeeperThan('x', 0), false)
})

const CASES: readonly (readonly [string, string, unknown])[] = [
  ['pairs are decoded', 'a=x+y%21&b=%C3%A9', { a: 'x y!', b: 'é' }],
  ['a key without = is true, with = and nothing the empty string', 'a&b=', { a: true, b: '' }],
  [
    'repeated keys become a list in order',
    'config.auth_methods=introspection&config.auth_methods=password',
    { config: { auth_methods: ['introspection', 'password'] } },
  ],
  ['nothing is split at commas', 'methods=GET,POST', { methods: 'GET,POST' }],
  ['[] appends', 'a[]=x&a[]=y', { a: ['x', 'y'] }],
  ['positions count from 1', 'hosts[1]=a&hosts[2]=b', { hosts: ['a', 'b'] }],
  ['positions may come in any order', 'hosts[2]=b&hosts[1]=a', { hosts: ['a', 'b'] }],
  ['a left-out position is not compacted away', 'x[2]=a', { x: [null, 'a'] }],
  ['a bracket names a member', 'headers[x-foo]=1', { headers: { 'x-foo': '1' } }],
  ['a dot in brackets does not split', 'a[k.with.dots]=1', { a: { 'k.with.dots': '1' } }],
  ['brackets may be encoded twice', 'a%255B1%255D=x', { a: ['x'] }],
  ['brackets and dots mix', 'a[1].b=1&a[2].b=2&h[x-foo][]=1&h[x-foo][]=2', { a: [{ b: '1' }, { b: '2' }], h: { 'x-foo': ['1', '2'] } }],
  ['deeply mixed', 'x.r[1].s[a][1].t=v', { x: { r: [{ s: { a: [{ t: 'v' }] } }] } }],
  ['a leading bracket is a name', '[name][m]=v', { '[name]': { m: 'v' } }],
  ['same leading segments are merged', 'c.a=1&c.b.d=2&c.b.e=3', { c: { a: '1', b: { d: '2', e: '3' } } }],
  ['a key that begins or ends with a dot is literal', '.a=1&b.=2&c..d=3&.=4', { '.a': '1', 'b.': '2', 'c..d': '3', '.': '4' }],
  ['an unclosed bracket is literal', 'a[1=x', { 'a[1': 'x' }],
  ['a position beyond the bound names a member', 'a[999999]=x&b[0]=y', { a: { '999999': 'x' }, b: { '0': 'y' } }],
  ['empty pairs are skipped', '&&a=1&=x', { a: '1' }],
  ['empty', '', {}],
]
for (const [name, form, expected] of CASES) test(`form: ${name}`, () => assert.deepEqual(decodeForm(form), expected))

test('in a query a bracket that is no position stays a part of the name', () => {
  assert.deepEqual(decodeQuery('?a[b]=1&c[1]=2&size=3'), { 'a[b]': '1', c: ['2'], size: '3' })
})

test('more than 1000 arguments are refused', async () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => `a${i}=1`).join('&')
  assert.equal(Object.keys(decodeForm(many(1000))).length, 1000)
  assert.deepEqual(await refusal([FORM], many(1001)), [400, 'Too many arguments'])
})

function multipart(parts: readonly (readonly [string, string, string?])[]): Promise<Readonly<Record<string, unknown>>> {
  const body = parts
    .map(([name, value, file]) => {
      const disposition = `form-data; name="${name}"${file === undefined ? '' : `; filename="${file}"\r\nContent-Type: application/octet-stream`}`
      return `--B\r\nContent-Disposition: ${disposition}\r\n\r\n${value}\r\n`
    })
    .join('')
  return readArguments(['multipart/form-data; boundary=B'], bytes(`${body}--B--\r\n`)).then(({ values }) => values)
}

test('multipart parts follow the same grammar, files contribute their content', async () => {
  const values = await multipart([
    ['config', '_format_version: "3.0"\n', 'kong.yml'],
    ['name', 'é'],
    ['hosts[1]', 'a'],
    ['hosts[2]', 'b'],
    ['x.y', '1'],
    ['empty', '', 'none'],
  ])
  assert.deepEqual(values, { config: '_format_version: "3.0"\n', name: 'é', hosts: ['a', 'b'], x: { y: '1' }, empty: '' })
})

test('malformed multipart has no arguments, too many parts are refused', async () => {
  for (const [type, body] of [
    ['multipart/form-data', 'x'],
    ['multipart/form-data; boundary=B', 'no boundary here'],
    ['multipart/form-data; boundary=B', '--B\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\ncut of'],
  ] as const) {
    assert.deepEqual(Object.keys((await readArguments([type], bytes(body))).values), [], body)
  }
  await assert.rejects(multipart(Array.from({ length: 1001 }, (_, i) => [`a${i}`, 'x'] as const)), { text: 'Too many arguments' })
})

test('whatever the bytes are: an object or an ArgumentsError, and no prototype is touched', async () => {
  const key = fc.stringMatching(/^[a-c.[\]0-9%5BD_]{0,20}$/)
  const body = fc.oneof(
    fc.array(fc.tuple(key, fc.string()), { maxLength: 30 }).map((pairs) => pairs.map(([k, v]) => `${k}=${v}`).join('&')),
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc
      .array(fc.constantFrom('--B', '\r\n', 'Content-Disposition: form-data; name="a"', ';filename=f', 'x', '--'))
      .map((all) => all.join('')),
  )
  const type = fc.constantFrom(FORM, 'application/json', 'multipart/form-data; boundary=B')
  await fc.assert(
    fc.asyncProperty(type, body, async (contentType, text) => {
      try {
        const { values } = await readArguments([contentType], bytes(text))
        assert.equal(Object.getPrototypeOf(values), Object.prototype)
      } catch (error) {
        assert.ok(error instanceof ArgumentsError, String(error))
      }
    }),
    { numRuns: 2000 },
  )
  assert.deepEqual(Object.keys(Object.prototype), [])
})
