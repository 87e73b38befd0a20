import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DiscoveryError } from './errors.ts'
import type { HttpClient, HttpRequest } from './http.ts'
import { parseJsonObject } from './json.ts'
import { authMethodsOf, discoveryUrls, endpointOf, fetchMetadata, normaliseIssuer, readMetadata, wellKnownUrl } from './metadata.ts'
import vectors from './vectors/well-known-urls.json' with { type: 'json' }

const read = (value: unknown) => readMetadata(parseJsonObject(JSON.stringify(value)) ?? assert.fail('not a JSON object'))
/** Serves the given answers by address; every other address is a mistake of the test. */
const serve = (answers: Record<string, [status: number, body: string]>): { http: HttpClient; seen: HttpRequest[] } => {
  const seen: HttpRequest[] = []
  const http: HttpClient = async (request) => {
    seen.push(request)
    const [status, body] = answers[request.url] ?? assert.fail(`unexpected address ${request.url}`)
    return { status, headers: { get: () => null }, body: Buffer.from(body) }
  }
  return { http, seen }
}

describe('addresses', () => {
  for (const { source, mode, suffix, identifier, url } of vectors.cases) {
    test(`${source}: ${suffix} of ${identifier}`, () => {
      assert.ok(mode === 'append' || mode === 'insert')
      assert.equal(wellKnownUrl(identifier, suffix, mode), url)
      assert.equal(wellKnownUrl(`${identifier}/`, suffix, mode), url)
    })
  }

  const oidc = 'https://as/t/.well-known/openid-configuration'
  const inserted = 'https://as/.well-known/oauth-authorization-server/t'

  test('an issuer with and without slash gives the OpenID Connect form, then the RFC 8414 form', () => {
    assert.deepEqual(discoveryUrls('https://as/t'), [oidc, inserted])
    assert.deepEqual(discoveryUrls('https://as/t/'), [oidc, inserted])
    assert.deepEqual(discoveryUrls('https://as'), [
      'https://as/.well-known/openid-configuration',
      'https://as/.well-known/oauth-authorization-server',
    ])
  })

  test('an issuer that names a document has that address tried first, in either form', () => {
    assert.deepEqual(discoveryUrls(oidc), [oidc, inserted])
    assert.deepEqual(discoveryUrls(`${oidc}/`), [`${oidc}/`, oidc, inserted])
    assert.deepEqual(discoveryUrls(inserted), [inserted, oidc])
    assert.deepEqual(discoveryUrls('https://as/t/.well-known/oauth-authorization-server'), [
      'https://as/t/.well-known/oauth-authorization-server',
      oidc,
      inserted,
    ])
    const opposite = 'https://as/.well-known/openid-configuration/t'
    assert.deepEqual(discoveryUrls(opposite), [opposite, oidc, inserted])
  })

  test('all spellings of one issuer are one', () => {
    const spellings = ['https://as/t', 'https://as/t/', oidc, inserted, 'https://as/t/.well-known/oauth-authorization-server']
    for (const issuer of spellings) assert.equal(normaliseIssuer(issuer), 'https://as/t', issuer)
    assert.equal(normaliseIssuer('https://as/'), 'https://as')
    assert.equal(normaliseIssuer('https://as/.well-known/openid-configuration'), 'https://as')
  })

  test('a query stays: some servers name a policy there', () => {
    const [first] = discoveryUrls('https://as/t/.well-known/openid-configuration?p=sign-in')
    assert.equal(first, 'https://as/t/.well-known/openid-configuration?p=sign-in')
    assert.equal(normaliseIssuer('https://as/t/?p=x'), 'https://as/t?p=x')
  })

  test('what is no http address is refused', () => {
    for (const issuer of ['', 'as', 'file:///etc/passwd', 'javascript:1'])
      assert.throws(() => discoveryUrls(issuer), DiscoveryError, issuer)
  })
})

describe('fetching', () => {
  const oidc = 'https://as/.well-known/openid-configuration'
  const oauth = 'https://as/.well-known/oauth-authorization-server'

  test('the first document that is found serves; the request carries the headers that were given', async () => {
    const { http, seen } = serve({ [oidc]: [200, '{"issuer":"https://as"}'] })
    const discovery = await fetchMetadata(http, 'https://as/', [['X-Key', 'k']])
    assert.equal(discovery.url, oidc)
    assert.equal(discovery.metadata.issuer, 'https://as')
    assert.equal(discovery.issuerDiffers, false)
    assert.deepEqual(seen, [
      {
        method: 'GET',
        url: oidc,
        headers: [
          ['Accept', 'application/json'],
          ['X-Key', 'k'],
        ],
      },
    ])
  })

  test('the next address is tried after 404 and after nothing else', async () => {
    const { http } = serve({ [oidc]: [404, ''], [oauth]: [200, '{"issuer":"https://as"}'] })
    assert.equal((await fetchMetadata(http, 'https://as')).url, oauth)
    for (const answer of [
      [500, ''],
      [302, ''],
      [203, '{}'],
      [200, '[]'],
      [200, '<html>'],
    ] as [number, string][]) {
      const bad = serve({ [oidc]: answer })
      await assert.rejects(fetchMetadata(bad.http, 'https://as'), { code: 'OAUTH_DISCOVERY' }, String(answer))
      assert.equal(bad.seen.length, 1)
    }
    const nowhere = serve({ [oidc]: [404, ''], [oauth]: [404, ''] })
    await assert.rejects(fetchMetadata(nowhere.http, 'https://as'), DiscoveryError)
  })

  test('a transport failure is the cause of the error', async () => {
    const cause = new Error('refused')
    await assert.rejects(
      fetchMetadata(() => Promise.reject(cause), 'https://as'),
      { code: 'OAUTH_DISCOVERY', cause },
    )
  })

  test('a document of another issuer serves, and says that it differs', async () => {
    const other = serve({ [oidc]: [200, '{"issuer":"https://other"}'] })
    assert.equal((await fetchMetadata(other.http, 'https://as')).issuerDiffers, true)
    const slash = serve({ [oidc]: [200, '{"issuer":"https://as/"}'] })
    assert.equal((await fetchMetadata(slash.http, oidc)).issuerDiffers, false)
    const none = serve({ [oidc]: [200, '{}'] })
    assert.equal((await fetchMetadata(none.http, 'https://as')).issuerDiffers, true)
  })
})

describe('reading', () => {
  test('members of the wrong type are left out and listed, null is absent, unknown ones stay in the document', () => {
    const metadata = read({
      issuer: 7,
      token_endpoint: 'https://as/token',
      introspection_endpoint: 'file:///etc/passwd',
      jwks_uri: ['https://as/jwks'],
      userinfo_endpoint: null,
      scopes_supported: 'openid',
      grant_types_supported: ['password', 7],
      mtls_endpoint_aliases: { token_endpoint: 7, introspection_endpoint: 'https://mtls.as/i' },
      more: 1,
    })
    assert.equal(metadata.issuer, undefined)
    assert.equal(metadata.token_endpoint, 'https://as/token')
    assert.equal(metadata.introspection_endpoint, undefined)
    assert.deepEqual(metadata.grant_types_supported, ['password'])
    assert.deepEqual(metadata.mtls_endpoint_aliases, { introspection_endpoint: 'https://mtls.as/i' })
    assert.deepEqual(metadata.ignored, ['introspection_endpoint', 'jwks_uri', 'scopes_supported', 'mtls_endpoint_aliases.token_endpoint'])
    assert.equal(metadata.document['more'], 1)
  })

  test('with mutual TLS the alias comes first, else the endpoint itself', () => {
    const metadata = read({
      token_endpoint: 'https://as/t',
      introspection_endpoint: 'https://as/i',
      mtls_endpoint_aliases: { token_endpoint: 'https://mtls.as/t' },
    })
    assert.equal(endpointOf(metadata, 'token_endpoint', true), 'https://mtls.as/t')
    assert.equal(endpointOf(metadata, 'token_endpoint'), 'https://as/t')
    assert.equal(endpointOf(metadata, 'introspection_endpoint', true), 'https://as/i')
  })

  test('the older name of the introspection endpoint serves when there is no other', () => {
    assert.equal(endpointOf(read({ token_introspection_endpoint: 'https://as/old' }), 'introspection_endpoint'), 'https://as/old')
    assert.equal(endpointOf(read({}), 'introspection_endpoint'), undefined)
  })

  test("authentication methods are the endpoint's own, else those of the token endpoint", () => {
    const metadata = read({ token_endpoint_auth_methods_supported: ['a'], introspection_endpoint_auth_methods_supported: ['b'] })
    assert.deepEqual(authMethodsOf(metadata, 'introspection'), ['b'])
    assert.deepEqual(authMethodsOf(metadata, 'revocation'), ['a'])
    assert.equal(authMethodsOf(read({}), 'token'), undefined)
  })
})
