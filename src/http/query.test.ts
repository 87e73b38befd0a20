import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redactQuery, redactTarget } from './query.ts'

test('values of arguments that may be credentials are not told, however the name is spelled and whatever separates', () => {
  const names = [
    'access_token',
    'access-token',
    'accessToken',
    'ACCESS%5FTOKEN',
    'access_token[]',
    'access_token%00',
    'assertion',
    'code_verifier',
    'X-Api-Key',
  ]
  for (const name of names) {
    for (const before of ['/a?', '/a?x=1&', '/a?x=1;', '/a?x=y?', '/a#', '/a;', '/a%3F', '/a?x=1#', 'http://h/a?', '?']) {
      assert.equal(redactTarget(`${before}${name}=s3cr&b=2`), `${before}${name}=REDACTED&b=2`)
    }
    assert.equal(redactQuery(`${name}=s3cr&b=2`), `?${name}=REDACTED&b=2`)
  }
})

test('a value goes to the next &, whatever is in it', () => {
  assert.equal(redactTarget('/a?token=s3;cr?e#t=1&b=2'), '/a?token=REDACTED&b=2')
})

test('user information is not told', () => {
  assert.equal(redactTarget('http://u:s3@cr@h/a'), 'http://REDACTED@h/a')
  assert.equal(redactTarget('http://h/a@b'), 'http://h/a@b')
})

test('everything else stays as it was sent', () => {
  for (const target of ['/', '*', '/a=b/c?x=%zz&y&=&tokens=1&mytoken=2&x=a@b', '/a;v=1?q=a;b#f', '-'])
    assert.equal(redactTarget(target), target)
  for (const query of ['', '?', '?a=1&&b']) assert.equal(redactQuery(query), query)
})
