import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startAuthorizationServer } from '../../demo/authorization-server.ts'
import { startEchoUpstream } from '../../demo/echo-upstream.ts'
import { startGateway } from '../support/gateway.ts'
import { temporaryFolder } from '../support/temp.ts'
import { builtInCommandLine, missingPrograms, realCommandLine } from './command-line.ts'
import { writeHostsFile } from './hosts.ts'
import { walkThrough } from './walkthrough.ts'

const missing = missingPrograms()

test('the programs of the walkthrough are installed where everything has to run', { skip: process.env['CI'] !== 'true' }, () => {
  assert.deepEqual(missing, [])
})

for (const kind of missing.length === 0 ? ['real', 'built-in'] : ['built-in']) {
  const by = kind === 'real' ? 'http and jq' : 'a built-in driver'
  test(`the documented walkthrough works unchanged, by ${by}`, async (t) => {
    if (missing.length > 0) t.diagnostic(`not installed: ${missing.join(', ')}; the requests are made by the test itself`)
    await using folder = await temporaryFolder()
    await using authorizationServer = await startAuthorizationServer({ issuerHost: 'keycloak.test' })
    await using upstream = await startEchoUpstream()
    await using gateway = await startGateway({ env: { SALLYPORT_DNS_HOSTSFILE: await writeHostsFile(folder.path) } })
    await using commandLine = kind === 'real' ? await realCommandLine(folder.path) : builtInCommandLine()

    await walkThrough(t, {
      commandLine,
      gateway,
      issuer: authorizationServer.issuer,
      httpbinPort: upstream.port,
      setJwksUrl: (url) => authorizationServer.setClientJwksUri('kong', url),
    })

    const { issuer, port } = authorizationServer
    const host = `keycloak.test:${port}`
    for (const { method, path, headers, body } of authorizationServer.requests) {
      assert.equal(headers.host, host, `${method} ${path} is sent to the name, not to an address`)
      if (method !== 'POST') continue
      const form = new URLSearchParams(body)
      assert.equal(form.get('client_assertion_type'), 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      const claims = JSON.parse(Buffer.from(form.get('client_assertion')?.split('.')[1] ?? '', 'base64url').toString())
      assert.equal(claims.iss, 'kong')
      assert.equal(claims.sub, 'kong')
      assert.equal(typeof claims.aud, 'string', 'one audience: Keycloak refuses several')
      assert.ok(claims.aud.startsWith(issuer))
    }
    assert.ok(authorizationServer.introspectionCalls > 0)
    assert.deepEqual(authorizationServer.failures, [])
  })
}
