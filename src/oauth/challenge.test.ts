import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type BearerChallenge, basicChallenge, bearerChallenge, dpopChallenge } from './challenge.ts'
import vectors from './vectors/www-authenticate.json' with { type: 'json' }

interface Parsed {
  scheme: string
  params: Record<string, string>
}

/** Parses a WWW-Authenticate value (RFC 9110 section 11.6.1): challenges and their parameters, quoted strings unescaped. */
function parse(header: string): Parsed[] {
  const challenges: Parsed[] = []
  const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
  const next = new RegExp(`(?:^|,\\s*)(?:(${token})(?:\\s+(?=${token}=)|(?=,|$)))?(?:(${token})=("(?:[^"\\\\]|\\\\.)*"|${token}))?`, 'y')
  while (next.lastIndex < header.length) {
    const at = next.lastIndex
    const found = next.exec(header)
    if (found === null || next.lastIndex === at) assert.fail(`not a challenge: ${header}`)
    const [, scheme, name, value] = found
    if (scheme !== undefined) challenges.push({ scheme, params: {} })
    const current = challenges.at(-1) ?? assert.fail('a parameter before any scheme')
    if (name === undefined || value === undefined) continue
    assert.ok(!Object.hasOwn(current.params, name), `${name} twice`)
    current.params[name] = value.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value
  }
  return challenges
}

/** Builds a challenge from parsed parameters. */
function build({ scheme, params }: Parsed): string {
  const { realm, error, error_description, scope, acr_values, max_age, resource_metadata, algs } = params
  const challenge = {
    realm,
    error,
    error_description,
    scope: scope?.split(' '),
    acr_values: acr_values?.split(' '),
    max_age: max_age === undefined ? undefined : Number(max_age),
    resource_metadata,
  }
  return scheme === 'DPoP' ? dpopChallenge({ ...challenge, algs: algs?.split(' ') ?? [] }) : bearerChallenge(challenge)
}

for (const { source, header, challenges } of vectors.cases) {
  const published = challenges.map(({ scheme, params }): Parsed => {
    return { scheme, params: Object.fromEntries(Object.entries(params).map(([name, value]) => [name, String(value)])) }
  })
  test(`${source}: ${header}`, () => {
    assert.deepEqual(parse(header), published)
    for (const challenge of published) {
      // RFC 9449 Figure 17 shows a bare scheme, which RFC 6750 section 3 does not allow to send
      if (Object.keys(challenge.params).length === 0) assert.throws(() => build(challenge), TypeError)
      else assert.deepEqual(parse(build(challenge)), [challenge])
    }
  })
}

describe('spelling', () => {
  test('a challenge with an error', () => {
    const challenge = { realm: 'service', error: 'invalid_token', error_description: 'The access token is invalid or has expired' }
    assert.equal(
      bearerChallenge(challenge),
      'Bearer realm="service", error="invalid_token", error_description="The access token is invalid or has expired"',
    )
  })

  test('a challenge for more scope', () => {
    assert.equal(
      bearerChallenge({ realm: 'as', error: 'insufficient_scope', scope: vectors.scopeValues.valid }),
      'Bearer realm="as", error="insufficient_scope", scope="urn:example:channel=HBO&urn:example:rating=G,PG-13"',
    )
    assert.equal(bearerChallenge({ realm: 'as', scope: ['openid', 'profile'] }), 'Bearer realm="as", scope="openid profile"')
  })

  test('a Basic challenge', () => {
    assert.equal(basicChallenge('a "b" \\'), 'Basic realm="a \\"b\\" \\\\"')
    assert.equal(basicChallenge('as', { utf8: true }), 'Basic realm="as", charset="UTF-8"')
  })

  test('words that no scope can be are left out, and a scope without words too', () => {
    assert.equal(bearerChallenge({ realm: 'r', scope: ['a"b', 'c', 'ü', ''] }), 'Bearer realm="r", scope="c"')
    assert.equal(bearerChallenge({ realm: 'r', scope: ['a b'] }), 'Bearer realm="r"')
  })

  test('addresses are percent-encoded where they must be', () => {
    assert.equal(bearerChallenge({ error_uri: 'https://x/"ü' }), 'Bearer error_uri="https://x/%22%C3%BC"')
  })
})

test('whatever the texts are, a challenge is one line of printable ASCII with the parameters that were asked for and no other', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('", x="y', '\\', '\\"', 'a\r\nSet-Cookie: b=c', '\0', 'é', 'a, Basic realm="x"'),
  )
  const challenges = fc.record(
    {
      realm: text,
      error: text,
      error_description: text,
      error_uri: text,
      scope: fc.array(text),
      acr_values: fc.array(text),
      max_age: fc.integer(),
      resource_metadata: text,
    },
    { requiredKeys: ['realm'] },
  )
  fc.assert(
    fc.property(challenges, fc.array(text), (challenge: BearerChallenge, algs) => {
      for (const header of [bearerChallenge(challenge), dpopChallenge({ ...challenge, algs }), basicChallenge(challenge.realm ?? '')]) {
        assert.match(header, /^[\x20-\x7e]+$/)
        const [parsed, ...more] = parse(header)
        assert.deepEqual(more, [])
        for (const name of Object.keys(parsed?.params ?? {})) assert.ok(name === 'algs' || Object.hasOwn(challenge, name), name)
        for (const name of ['error', 'error_description', 'error_uri', 'scope']) assert.doesNotMatch(parsed?.params[name] ?? '', /["\\]/)
      }
    }),
  )
})
