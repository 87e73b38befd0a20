import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HeaderLines, HeaderList } from '../http/headers.ts'
import { encodeBase64Json, encodePlain, HeaderProjection } from './header-projection.ts'

const CONSUMER = { id: 'c1', username: 'alice', custom_id: null, tags: null }
const NOBODY = { consumer: null, authenticatedGroups: null, credentialIdentifier: null }
const projection = new HeaderProjection({
  claimHeaders: [
    { name: 'X-Credential-Scope', path: ['scope'] },
    { name: 'X-Credential-Email', path: ['email'] },
  ],
  encode: encodePlain,
  maxValueBytes: 100,
  alsoCleared: ['X-Own'],
})
const NAMES = [
  'x-consumer-id',
  'x-consumer-custom-id',
  'x-consumer-username',
  'x-consumer-groups',
  'x-anonymous-consumer',
  'x-authenticated-groups',
  'x-credential-identifier',
  'x-credential-scope',
  'x-credential-email',
  'x-own',
]
const never = (name: string): never => assert.fail(`${name} is too long`)

function write(headers: HeaderList, claims: Record<string, string>, identity = NOBODY): void {
  projection.write(headers, identity, new HeaderLines(projection.prepare([claims], never)))
}

test('a client copy is gone in any spelling, whether or not a value follows', () => {
  const spelled = fc
    .constantFrom(...NAMES)
    .chain((name) =>
      fc
        .tuple(...[...name].map((char) => (char === '-' ? fc.constantFrom('-', '_') : fc.constantFrom(char, char.toUpperCase()))))
        .map((chars) => chars.join('')),
    )
  fc.assert(
    fc.property(fc.array(spelled, { minLength: 1, maxLength: 8 }), fc.boolean(), (names, hasScope) => {
      const headers = new HeaderList()
      headers.add('Host', 'h')
      for (const name of names) headers.add(name, 'forged')
      write(headers, hasScope ? { scope: 'read' } : {})
      assert.ok(!headers.toRaw().includes('forged'))
      assert.deepEqual(headers.toRaw(), hasScope ? ['Host', 'h', 'X-Credential-Scope', 'read'] : ['Host', 'h'])
      for (const name of names) headers.add(name, 'forged')
      projection.writeAnonymous(headers, CONSUMER)
      assert.deepEqual(headers.toRaw(), [
        'Host',
        'h',
        'X-Consumer-ID',
        'c1',
        'X-Consumer-Username',
        'alice',
        'X-Anonymous-Consumer',
        'true',
      ])
    }),
  )
})

test('no value ever holds a control character, and all are byte strings', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 20 }), (scope, username) => {
      const headers = new HeaderList()
      const identity = {
        consumer: { ...CONSUMER, username, custom_id: scope },
        authenticatedGroups: [username],
        credentialIdentifier: scope,
      }
      projection.write(headers, identity, new HeaderLines(projection.prepare([{ scope, email: `${username}\r\nX-Evil: 1` }], never)))
      headers.each((_name, value) => {
        assert.match(value, /^[\x20-\x7e\x80-\xff]*$/)
      })
    }),
  )
})

test('headers that are not about identity stay untouched', () => {
  const headers = HeaderList.fromRaw(['X-Consumer', 'a', 'X-Credential-Other', 'b', 'X-Ownx', 'c', 'Xown', 'd'])
  write(headers, {})
  assert.deepEqual(headers.toRaw(), ['X-Consumer', 'a', 'X-Credential-Other', 'b', 'X-Ownx', 'c', 'Xown', 'd'])
})

test('clearing claims leaves the identity of an earlier plugin', () => {
  const headers = HeaderList.fromRaw(['X-Consumer-ID', 'c', 'X-Credential-Identifier', 'i', 'x_credential_scope', 's', 'X-Own', 'o'])
  projection.clearClaims(headers)
  assert.deepEqual(headers.toRaw(), ['X-Consumer-ID', 'c', 'X-Credential-Identifier', 'i'])
})

test('groups and the identifier are sent where there are some', () => {
  const headers = new HeaderList()
  projection.write(headers, { consumer: null, authenticatedGroups: ['a', 'b'], credentialIdentifier: 'u1' }, new HeaderLines([]))
  assert.deepEqual(headers.toRaw(), ['X-Authenticated-Groups', 'a, b', 'X-Credential-Identifier', 'u1'])
})

test('a value that is too long is not sent and is told', () => {
  const told: string[] = []
  assert.deepEqual(
    projection.prepare([{ scope: 'x'.repeat(101), email: 'ü'.repeat(50) }], (name) => told.push(name)),
    ['X-Credential-Email', Buffer.from('ü'.repeat(50)).toString('latin1')],
  )
  assert.deepEqual(told, ['X-Credential-Scope'])
})

test('the first source that has a claim gives it', () => {
  assert.deepEqual(projection.prepare([{ scope: 'a' }, { scope: 'b', email: 'e' }], never), [
    'X-Credential-Scope',
    'a',
    'X-Credential-Email',
    'e',
  ])
})

test('plain encoding', () => {
  assert.equal(encodePlain('a b'), 'a b')
  assert.equal(encodePlain(1_735_689_600), '1735689600')
  assert.equal(encodePlain(1e21), '1000000000000000000000')
  assert.equal(encodePlain(1.5), '1.5')
  assert.equal(encodePlain(true), 'true')
  assert.equal(encodePlain(['a', 1, false]), 'a, 1, false')
  assert.equal(encodePlain(['a,b', 'c']), '["a,b","c"]')
  assert.equal(encodePlain(['a', { b: 1 }]), '["a",{"b":1}]')
  assert.equal(encodePlain({ a: ['ü'] }), '{"a":["ü"]}')
  assert.equal(encodePlain(null), null)
})

test('base64 encoding of what is not simple', () => {
  assert.equal(encodeBase64Json('a'), 'a')
  assert.equal(encodeBase64Json(5), '5')
  assert.equal(encodeBase64Json(['a', 'b']), Buffer.from('["a","b"]').toString('base64'))
  assert.equal(encodeBase64Json(null), null)
})
