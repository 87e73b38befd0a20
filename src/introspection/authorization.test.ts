import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ClaimPath, claimAt, claimValues, type Requirement, refuseByRules, requirement } from './authorization.ts'

const holds = (required: string[], claims: Record<string, never> | object, path: ClaimPath = ['scope']): boolean => {
  const rule = requirement('scope', path, required)
  assert.ok(rule !== null)
  const source = JSON.parse(JSON.stringify(claims))
  return refuseByRules([source], { requirements: [rule], forbidden: [] }) === null
}

test('any element of a list may hold, all words of an element must', () => {
  assert.equal(holds(['a', 'b'], { scope: 'b c' }), true)
  assert.equal(holds(['a', 'b'], { scope: 'c' }), false)
  assert.equal(holds(['a b'], { scope: 'b a x' }), true)
  assert.equal(holds(['a b'], { scope: 'a' }), false)
  assert.equal(holds(['a b', 'c'], { scope: 'c' }), true)
})

test('values may be words, items, numbers and booleans; case matters', () => {
  assert.equal(holds(['a'], { scope: ['a', 'b'] }), true)
  assert.equal(holds(['5'], { scope: 5 }), true)
  assert.equal(holds(['true'], { scope: [true] }), true)
  assert.equal(holds(['A'], { scope: 'a' }), false)
  assert.deepEqual(claimValues(['a b', 'c']), ['a b', 'a', 'b', 'c'])
  assert.deepEqual(claimValues({ a: 1 }), [])
  assert.deepEqual(claimValues(null), [])
})

test('a path descends into objects and arrays, and dots have no meaning', () => {
  assert.equal(holds(['x'], { realm_access: { roles: ['x'] } }, ['realm_access', 'roles']), true)
  assert.equal(holds(['x'], { 'a.b': 'x' }, ['a.b']), true)
  assert.equal(holds(['x'], { a: [{ b: 'x' }] }, ['a', '0', 'b']), true)
  assert.equal(holds(['x'], { a: ['x'] }, ['a', 'length']), false)
  assert.equal(holds(['x'], { a: 'x' }, ['a', 'b']), false)
  assert.equal(claimAt({ a: 1 }, []), undefined)
})

test('an element of white space never holds, and an empty list requires nothing', () => {
  assert.equal(holds([' '], { scope: '' }), false)
  assert.equal(requirement('scope', ['scope'], []), null)
  assert.equal(requirement('scope', ['scope'], null), null)
})

test('all requirements must hold, and the first source that has the path decides', () => {
  const rules = {
    requirements: [requirement('scope', ['scope'], ['a']), requirement('audience', ['aud'], ['me'])].filter(
      (rule): rule is Requirement => rule !== null,
    ),
    forbidden: ['bad'],
  }
  assert.equal(refuseByRules([{ scope: 'a' }, { aud: 'me' }], rules), null)
  assert.equal(refuseByRules([{ scope: 'a', aud: 'you' }, { aud: 'me' }], rules), 'audience')
  assert.equal(refuseByRules([{}, { aud: 'me' }], rules), 'scope')
  assert.equal(refuseByRules([{ scope: 'a', aud: 'me' }, { bad: null }], rules), 'forbidden_claim')
})
