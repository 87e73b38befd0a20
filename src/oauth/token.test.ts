import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { encodeBase64url } from '../util/base64url.ts'
import { toHttpRequest } from './form.ts'
import type { HttpResponse } from './http.ts'
import { type Grant, interpretTokenResponse, type TokenRequest, tokenRequest } from './token.ts'

const nowS = 1_700_000_000
const endpoint = 'https://as/token'
const password: Grant = { grant_type: 'password', username: 'jo', password: 'a:b:ü' }
const bodyOf = (request: Omit<TokenRequest, 'endpoint'>): string | undefined => toHttpRequest(tokenRequest({ endpoint, ...request })).body
const answer = (status: number, body: unknown): HttpResponse => ({
  status,
  headers: { get: () => null },
  body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
})
const interpret = (body: unknown, grant?: Grant['grant_type']) => interpretTokenResponse(answer(200, body), nowS, grant)
const reasonOf = (outcome: ReturnType<typeof interpret>): string => (outcome.kind === 'failure' ? outcome.reason : outcome.kind)

describe('requests', () => {
  test('password', () => {
    assert.equal(bodyOf({ grant: password }), 'grant_type=password&username=jo&password=a%3Ab%3A%C3%BC')
  })

  test('client credentials', () => {
    assert.equal(bodyOf({ grant: { grant_type: 'client_credentials' }, scopes: ['a', 'b'] }), 'grant_type=client_credentials&scope=a+b')
  })

  test('refresh', () => {
    assert.equal(bodyOf({ grant: { grant_type: 'refresh_token', refresh_token: 'R' } }), 'grant_type=refresh_token&refresh_token=R')
  })

  test('no scope is sent for null, nothing, or an empty word; audiences are repeated', () => {
    const grant: Grant = { grant_type: 'client_credentials' }
    for (const scopes of [null, [], ['']]) assert.equal(bodyOf({ grant, scopes }), 'grant_type=client_credentials')
    assert.equal(bodyOf({ grant, audiences: ['x', 'y'] }), 'grant_type=client_credentials&audience=x&audience=y')
  })

  test('a caller may replace the computed scope and audience, and nothing else', () => {
    const untrustedParameters = [
      ['scope', 'mine'],
      ['audience', 'mine'],
      ['grant_type', 'refresh_token'],
      ['username', 'x'],
      ['password', 'x'],
      ['refresh_token', 'x'],
      ['code', 'x'],
      ['client_id', 'x'],
      ['client_secret', 'x'],
      ['resource', 'r'],
    ] as const
    assert.equal(
      bodyOf({ grant: password, scopes: ['ours'], audiences: ['ours'], untrustedParameters }),
      'grant_type=password&username=jo&password=a%3Ab%3A%C3%BC&scope=mine&audience=mine&resource=r',
    )
  })

  test("the operator's parameters may replace scope and audience, not the grant, and a caller does not replace them", () => {
    const parameters = [
      ['grant_type', 'x'],
      ['scope', 'fixed'],
      ['resource', 'r'],
    ] as const
    assert.equal(
      bodyOf({ grant: { grant_type: 'client_credentials' }, scopes: ['ours'], parameters, untrustedParameters: [['scope', 'mine']] }),
      'grant_type=client_credentials&scope=fixed&resource=r',
    )
  })
})

describe('answers', () => {
  test('a grant with everything', () => {
    const members = { access_token: 'A', token_type: 'bearer', expires_in: 60, id_token: 'I', refresh_token: 'R', scope: 'a b', more: 1 }
    const outcome = interpret(members)
    assert.ok(outcome.kind === 'granted')
    const { members: kept, ...rest } = outcome
    assert.deepEqual(rest, {
      kind: 'granted',
      access_token: 'A',
      token_type: 'Bearer',
      id_token: 'I',
      refresh_token: 'R',
      scope: 'a b',
      expiresAtS: nowS + 60,
    })
    assert.equal(JSON.stringify(kept), JSON.stringify(members))
  })

  test('the type is Bearer or DPoP in any case; an absent one is Bearer', () => {
    for (const [token_type, expected] of [
      ['BEARER', 'Bearer'],
      ['dpop', 'DPoP'],
      [undefined, 'Bearer'],
      [null, 'Bearer'],
    ] as const) {
      const outcome = interpret({ access_token: 'A', token_type })
      assert.ok(outcome.kind === 'granted')
      assert.equal(outcome.token_type, expected)
    }
    for (const token_type of ['mac', '', 7]) assert.equal(reasonOf(interpret({ access_token: 'A', token_type })), 'unknown_token_type')
  })

  test('the expiry is that of expires_in, else that of a JWT, else unknown', () => {
    const jwt = `${encodeBase64url('{"alg":"RS256"}')}.${encodeBase64url(JSON.stringify({ exp: nowS + 7 }))}.AAAA`
    const cases: [object, number | null][] = [
      [{ access_token: 'A', expires_in: '60' }, nowS + 60],
      [{ access_token: 'A', expires_in: 0 }, nowS],
      [{ access_token: 'A', expires_in: -1 }, nowS - 1],
      [{ access_token: jwt, expires_in: 60 }, nowS + 60],
      [{ access_token: jwt }, nowS + 7],
      [{ access_token: jwt, expires_in: null }, nowS + 7],
      [{ access_token: 'A' }, null],
    ]
    for (const [body, expected] of cases) {
      const outcome = interpret(body)
      assert.ok(outcome.kind === 'granted')
      assert.equal(outcome.expiresAtS, expected, JSON.stringify(body))
    }
    assert.equal(reasonOf(interpret({ access_token: 'A', expires_in: 'soon' })), 'expires_in_unreadable')
  })

  test('a refresh token beside a client credentials grant is ignored', () => {
    const outcome = interpret({ access_token: 'A', refresh_token: 'R' }, 'client_credentials')
    assert.ok(outcome.kind === 'granted')
    assert.equal(outcome.refresh_token, undefined)
  })

  test('4xx is a refusal, whose error text is cut and cleaned', () => {
    const outcome = interpretTokenResponse(answer(400, { error: 'invalid_grant', error_description: `bad\r\n${'x'.repeat(500)}` }), nowS)
    assert.deepEqual(outcome, { kind: 'refused', status: 400, error: 'invalid_grant', error_description: `bad??${'x'.repeat(251)}` })
    assert.deepEqual(interpretTokenResponse(answer(401, '<html>'), nowS), { kind: 'refused', status: 401 })
    assert.deepEqual(interpretTokenResponse(answer(429, { error: 7 }), nowS), { kind: 'refused', status: 429 })
  })

  test('anything else is a failure', () => {
    for (const status of [201, 204, 302, 500, 503]) {
      assert.deepEqual(interpretTokenResponse(answer(status, { access_token: 'A' }), nowS), {
        kind: 'failure',
        reason: 'unexpected_status',
      })
    }
    for (const body of ['', '[]', 'null', '{"access_token":']) assert.equal(reasonOf(interpret(body)), 'not_a_json_object')
    for (const access_token of [undefined, null, '', 7, {}]) assert.equal(reasonOf(interpret({ access_token })), 'no_access_token')
  })

  test('arbitrary bytes never throw', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 599 }),
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (status, body) => {
          interpretTokenResponse({ status, headers: { get: () => null }, body }, nowS)
        },
      ),
    )
  })
})
