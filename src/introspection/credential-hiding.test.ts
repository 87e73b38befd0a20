import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type FakeRequest, fakeContext } from '../../test/support/fake-context.ts'
import type { ClientRequest } from '../plugin/context.ts'
import { hideToken } from './credential-hiding.ts'
import { type ExtractionPlan, extractToken } from './token-extraction.ts'

const PLAN: ExtractionPlan = {
  head: [
    { kind: 'authorization', schemes: ['bearer'] },
    { kind: 'header', name: 'access-token', optionalSchemes: ['bearer'] },
    { kind: 'cookie', name: 'at' },
    { kind: 'query', name: 'access_token' },
  ],
  body: {
    kind: 'body',
    name: 'access_token',
    methods: new Set(['POST']),
    formats: new Set(['form', 'json', 'multipart']),
    limitBytes: 1_048_576,
  },
}

async function hide(options: FakeRequest): Promise<ClientRequest> {
  const { request } = fakeContext(options)
  const found = await extractToken(request, PLAN)
  assert.equal(found.kind, 'token')
  if (found.kind === 'token') await hideToken(request, PLAN, found)
  return request
}

const post = (type: string, body: string, more: FakeRequest = {}): FakeRequest => ({
  method: 'POST',
  body,
  ...more,
  headers: [['Content-Type', type], ...(more.headers ?? [])],
})
const bodyOf = async (request: ClientRequest): Promise<string | undefined> => (await request.readBody(2_000_000))?.toString()

test('a header token goes with its header, other credentials stay', async () => {
  const request = await hide({
    headers: [
      ['Authorization', 'Bearer T'],
      ['X-Other', 'T'],
    ],
  })
  assert.deepEqual(request.headers.toRaw(), ['X-Other', 'T'])
  const basic = await hide({ headers: [['Authorization', 'Basic dTpw']], target: '/?access_token=T' })
  assert.deepEqual(basic.headers.toRaw(), ['Authorization', 'Basic dTpw'])
  assert.equal(basic.query, '')
})

test('of a query only the argument goes; the others keep order, spelling and encoding', async () => {
  const request = await hide({ target: '/?b=%41&access_token=T&a=1+2&&c' })
  assert.equal(request.query, '?b=%41&a=1+2&&c')
})

test('of cookies only the one goes', async () => {
  const request = await hide({ headers: [['Cookie', 'a=1; at="T"; b=2']] })
  assert.deepEqual(request.headers.all('cookie'), ['a=1; b=2'])
  const alone = await hide({ headers: [['Cookie', 'at=T']] })
  assert.equal(alone.headers.has('cookie'), false)
})

test('of bodies only the member goes, and the length follows', async () => {
  const form = await hide(post('application/x-www-form-urlencoded', 'b=%41&access_token=T&a=+'))
  assert.equal(await bodyOf(form), 'b=%41&a=+')
  assert.equal(form.bodyLength, 9)
  const json = await hide(post('application/json', '{"access_token":"T","x":1}'))
  assert.equal(await bodyOf(json), '{"x":1}')
  assert.equal(json.bodyLength, 7)
  const multipart = await hide(
    post(
      'multipart/form-data; boundary="b"',
      '--b\r\nContent-Disposition: form-data; name="access_token"\r\n\r\nT\r\n--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--\r\n',
    ),
  )
  assert.equal(await bodyOf(multipart), '--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--\r\n')
})

test('numbers that JavaScript cannot hold and escapes stay as they were sent', async () => {
  const json = await hide(post('application/json', ' { "n":12345678901234567890.10, "access_token" : "T" , "u":"\\u00fc\\"}" } '))
  assert.equal(await bodyOf(json), ' { "n":12345678901234567890.10,"u":"\\u00fc\\"}" } ')
})

test('the same token elsewhere goes too, another one stays', async () => {
  const same = await hide(
    post('application/x-www-form-urlencoded', 'access_token=T&x=1', {
      target: '/?access_token=T&y=2',
      headers: [
        ['Authorization', 'Bearer T'],
        ['Access-Token', 'T'],
      ],
    }),
  )
  assert.equal(same.query, '?y=2')
  assert.equal(await bodyOf(same), 'x=1')
  assert.deepEqual(same.headers.toRaw(), ['Content-Type', 'application/x-www-form-urlencoded'])
  const other = await hide(
    post('application/json', '{"access_token":"B"}', { target: '/?access_token=Q', headers: [['Authorization', 'Bearer T']] }),
  )
  assert.equal(other.query, '?access_token=Q')
  assert.equal(await bodyOf(other), '{"access_token":"B"}')
})

test('of several members of one name only those with the same token go', async () => {
  const json = await hide(post('application/json', '{"access_token":"T","access_token":"B"}', { headers: [['Authorization', 'Bearer T']] }))
  assert.equal(await bodyOf(json), '{"access_token":"B"}')
  const form = await hide(
    post('application/x-www-form-urlencoded', 'access_token=T&access_token=B', { headers: [['Authorization', 'Bearer T']] }),
  )
  assert.equal(await bodyOf(form), 'access_token=B')
})

test('what is left of any JSON object is that object without the token', async () => {
  const object = fc.dictionary(
    fc.string().filter((name) => name !== 'access_token'),
    fc.jsonValue(),
    { maxKeys: 6 },
  )
  await fc.assert(
    fc.asyncProperty(object, fc.constantFrom(undefined, 1, '\t'), async (rest, space) => {
      const request = await hide(post('application/json', JSON.stringify({ ...rest, access_token: 'T' }, null, space)))
      assert.deepEqual(JSON.parse((await bodyOf(request)) ?? ''), JSON.parse(JSON.stringify({ ...rest })))
    }),
  )
})
