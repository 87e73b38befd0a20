import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type FakeRequest, fakeContext } from '../../test/support/fake-context.ts'
import { type ExtractionPlan, extractToken, MAX_TOKEN_LENGTH } from './token-extraction.ts'

const PLAN: ExtractionPlan = {
  head: [
    { kind: 'authorization', schemes: ['bearer', 'token'] },
    { kind: 'header', name: 'x-access-token', optionalSchemes: ['bearer'] },
    { kind: 'cookie', name: 'at' },
    { kind: 'query', name: 'access_token' },
  ],
  body: {
    kind: 'body',
    name: 'access_token',
    methods: new Set(['POST', 'PUT', 'PATCH']),
    formats: new Set(['form', 'json', 'multipart']),
    limitBytes: 1_048_576,
  },
}
const FORM = 'application/x-www-form-urlencoded'

async function extract(request: FakeRequest): Promise<string | null> {
  const found = await extractToken(fakeContext(request).request, PLAN)
  return found.kind === 'token' ? found.token : null
}

const authorization = (value: string): FakeRequest => ({ headers: [['Authorization', value]] })
const post = (type: string, body: string | Buffer, more: FakeRequest = {}): FakeRequest => ({
  method: 'POST',
  body,
  ...more,
  headers: [['Content-Type', type], ...(more.headers ?? [])],
})

test('the scheme is read in any case and the space after it may be wide', async () => {
  for (const value of ['Bearer T', 'bEaReR   T', 'bearer\tT', ' Bearer T ', 'token T', 'TOKEN T'])
    assert.equal(await extract(authorization(value)), 'T', value)
})

test('another shape of Authorization is no token, and the search goes on', async () => {
  for (const value of ['Basic dTpw', 'Digest x="y"', 'Bearer', 'Bearer ', 'T', 'Bearer a b', 'BearerT', 'Bearers T', '']) {
    assert.equal(await extract(authorization(value)), null, value)
    assert.equal(await extract({ ...authorization(value), target: '/?access_token=Q' }), 'Q', value)
  }
})

test('several Authorization lines are no token, also none from elsewhere', async () => {
  const headers: FakeRequest['headers'] = [
    ['Authorization', 'Bearer T'],
    ['authorization', 'Bearer T'],
  ]
  assert.equal(await extract({ headers, target: '/?access_token=Q' }), null)
})

test('the first place decides: header, own header, cookie, query, body', async () => {
  const all: FakeRequest = post(FORM, 'access_token=B', { target: '/?access_token=Q' })
  assert.equal(await extract(all), 'Q')
  assert.equal(await extract({ ...all, headers: [...(all.headers ?? []), ['Cookie', 'x=1; at=C']] }), 'C')
  const own: FakeRequest = { ...all, headers: [...(all.headers ?? []), ['Cookie', 'at=C'], ['X-Access-Token', 'bearer H']] }
  assert.equal(await extract(own), 'H')
  assert.equal(await extract({ ...own, headers: [...(own.headers ?? []), ['Authorization', 'Bearer A']] }), 'A')
})

test('a repeated argument, cookie or member is no token', async () => {
  assert.equal(await extract({ target: '/?access_token=A&access_token=B' }), null)
  assert.equal(await extract({ headers: [['Cookie', 'at=A; at=B']] }), null)
  assert.equal(await extract(post(FORM, 'access_token=A&access_token=B')), null)
  assert.equal(await extract(post('application/json', '{"access_token":"A","access_token":"B"}')), null)
})

test('an argument without a value is none, and its name may be escaped', async () => {
  assert.equal(await extract({ target: '/?access_token' }), null)
  assert.equal(await extract({ target: '/?access_token=' }), null)
  assert.equal(await extract({ target: '/?a=1&access%5Ftoken=T%2B%2F%3D' }), 'T+/=')
})

test('a token is found in forms, JSON and multipart forms, with parameters of the type', async () => {
  assert.equal(await extract(post(FORM, 'x=1&access_token=T')), 'T')
  assert.equal(await extract(post('Application/JSON; charset=utf-8', '{"x":{"access_token":"no"},"access_token":"T"}')), 'T')
  const multipart = '--b\r\nContent-Disposition: form-data; name="access_token"\r\n\r\nT\r\n--b--\r\n'
  assert.equal(await extract(post('multipart/form-data; boundary=b', multipart)), 'T')
  const file = '--b\r\nContent-Disposition: form-data; name="access_token"; filename="x"\r\n\r\nT\r\n--b--\r\n'
  assert.equal(await extract(post('multipart/form-data; boundary=b', file)), null)
  assert.equal(await extract(post(FORM, 'access_token=T', { chunked: true })), 'T')
})

test('JSON that is no object, or whose member is no text, is no token and no failure', async () => {
  const bodies = [
    '[1]',
    '"s"',
    'null',
    '3',
    'true',
    '',
    '{',
    '{"access_token":5}',
    '{"access_token":null}',
    '{"access_token":""}',
    '{"access_token":["T"]}',
  ]
  for (const body of [...bodies, '[{"access_token":"T"}]', '\ufeff{"access_token":"T"}', `${'['.repeat(100_000)}`]) {
    assert.equal(await extract(post('application/json', body)), null, body.slice(0, 40))
  }
  assert.equal(await extract(post('application/json', Buffer.from([0x7b, 0xff, 0x7d]))), null)
})

test('a body is searched only for the methods, types and lengths that are meant', async () => {
  for (const method of ['GET', 'DELETE', 'OPTIONS', 'post'])
    assert.equal(await extract({ ...post(FORM, 'access_token=T'), method }), null, method)
  for (const method of ['PUT', 'PATCH']) assert.equal(await extract({ ...post(FORM, 'access_token=T'), method }), 'T', method)
  for (const type of ['text/plain', 'application/x-www-form-urlencodedx', 'application/json-seq', ''])
    assert.equal(await extract(post(type, 'access_token=T')), null, type)
  const long = `access_token=T&x=${'x'.repeat(1_048_576)}`
  assert.equal(await extract(post(FORM, long)), null)
  assert.equal(await extract(post(FORM, long, { chunked: true })), null)
  assert.equal(await extract(post(FORM, 'access_token=T', { headers: [['Content-Encoding', 'gzip']] })), null)
})

test('of a gRPC call only the headers are searched', async () => {
  const headers: FakeRequest['headers'] = [['Content-Type', 'application/grpc+proto']]
  assert.equal(await extract({ method: 'POST', headers, target: '/?access_token=T' }), null)
  assert.equal(await extract({ method: 'POST', headers: [...headers, ['Authorization', 'Bearer T']] }), 'T')
})

test('a token with other than visible ASCII characters, or too long, is found but not well-formed', async () => {
  const wellFormed = async (request: FakeRequest): Promise<boolean> => {
    const found = await extractToken(fakeContext(request).request, PLAN)
    assert.equal(found.kind, 'token')
    return found.kind === 'token' && found.wellFormed
  }
  assert.equal(await wellFormed({ target: '/?access_token=a%0d%0ab' }), false)
  assert.equal(await wellFormed({ target: '/?access_token=a+b' }), false)
  assert.equal(await wellFormed({ target: '/?access_token=%C3%BC' }), false)
  assert.equal(await wellFormed(authorization('Bearer \x01')), false)
  assert.equal(await wellFormed(authorization(`Bearer ${'x'.repeat(MAX_TOKEN_LENGTH)}`)), true)
  assert.equal(await wellFormed(authorization(`Bearer ${'x'.repeat(MAX_TOKEN_LENGTH + 1)}`)), false)
})

test('whatever an Authorization line says, a token comes out whole or not at all', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), async (value) => {
      const line = Buffer.from(value, 'utf8').toString('latin1')
      const found = await extractToken(fakeContext(authorization(line)).request, PLAN)
      const words = line.split(/[ \t]+/).filter((word) => word !== '')
      if (found.kind !== 'token') return
      assert.equal(words.length, 2)
      assert.match(words[0] ?? '', /^(bearer|token)$/i)
      assert.equal(found.token, words[1])
      assert.equal(found.wellFormed, /^[\x21-\x7e]{1,16384}$/.test(found.token))
    }),
  )
})

test('any token comes out of any place as it was put in', async () => {
  const token = fc.string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 60,
  })
  await fc.assert(
    fc.asyncProperty(token, async (value) => {
      const encoded = new URLSearchParams({ a: '1', access_token: value, z: '&=' }).toString()
      assert.equal(await extract(authorization(`Bearer ${value}`)), value)
      assert.equal(await extract({ target: `/?${encoded}` }), value)
      assert.equal(await extract(post(FORM, encoded)), value)
      assert.equal(await extract(post('application/json', JSON.stringify({ a: ['"', '}'], access_token: value }))), value)
    }),
  )
})

test('arbitrary bodies never fail', async () => {
  const type = fc.constantFrom(FORM, 'application/json', 'multipart/form-data; boundary=b')
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.json().map((text) => Buffer.from(text)),
    fc
      .array(fc.constantFrom('--b', '\r\n', '--', 'Content-Disposition: form-data; name="access_token"', '\r\n\r\n', 'T'), {
        maxLength: 20,
      })
      .map((words) => Buffer.from(words.join(''))),
  )
  await fc.assert(
    fc.asyncProperty(type, body, async (contentType, bytes) => {
      await extract(post(contentType, Buffer.from(bytes)))
    }),
  )
})
