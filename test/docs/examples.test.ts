/** What a person copies from the examples and the documentation works as it stands. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { parse } from 'yaml'
import { startAuthorizationServer } from '../../demo/authorization-server.ts'
import { startEchoUpstream } from '../../demo/echo-upstream.ts'
import { startGateway } from '../support/gateway.ts'
import { createHttpClient } from '../support/http-client.ts'
import { cleanEnvironment, runProgram } from '../support/run-program.ts'
import { temporaryFolder } from '../support/temp.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const PROGRAM = join(ROOT, 'bin', 'sallyport.js')
/** Where examples and documentation have the demo's authorization server and upstream. */
const SERVER = 'http://127.0.0.1:8090'
const UPSTREAM = 'http://127.0.0.1:9080'

const EXAMPLES = globSync('examples/deck/*.{yaml,yml}', { cwd: ROOT }).sort()
const PAGES = ['README.md', ...globSync('{docs,examples}/**/*.md', { cwd: ROOT }).sort()]

function textOf(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8')
}

/** Declarative files among the code blocks of a page. */
function declarativeBlocks(page: string): string[] {
  const blocks = [...textOf(page).matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, block = '']) => block)
  return blocks.filter((block) => block.includes('_format_version'))
}

test('there are examples to try', () => {
  assert.ok(EXAMPLES.length >= 2)
})

for (const file of EXAMPLES) {
  test(`${file} protects its routes, and tells the upstream who calls`, async () => {
    await using upstream = await startEchoUpstream()
    const server = await startAuthorizationServer()
    const client = createHttpClient()
    try {
      const declarative = textOf(file).replaceAll(SERVER, new URL(server.issuer).origin).replaceAll(UPSTREAM, upstream.origin)
      const { services }: { services: { routes: { paths: string[] }[] }[] } = parse(declarative)
      const paths = services.flatMap(({ routes }) => routes.flatMap((route) => route.paths))
      assert.ok(paths.length > 0)
      const { access_token } = await server.issueToken({ client: 'orders', user: 'john', scope: 'openid profile orders:read' })

      await using gateway = await startGateway({ database: 'off', declarative })
      for (const path of paths) {
        const url = `${gateway.proxyOrigin}${path}`
        assert.equal((await client.get(url)).status, 401)
        assert.equal((await client.get(url, { authorization: 'Bearer made-up' })).status, 401)
        const { status, json } = await client.get(url, { authorization: `Bearer ${access_token}` })
        assert.equal(status, 200)
        assert.equal(json?.['headers']?.['X-Consumer-Username'], 'john')
      }
    } finally {
      await client.close()
      await server.stop()
    }
  })
}

test('the plugin say-hello is loaded from its folder, and greets with what it was told', async () => {
  await using upstream = await startEchoUpstream()
  const client = createHttpClient()
  await using gateway = await startGateway({ env: { SALLYPORT_PLUGINS_DIR: join(ROOT, 'examples/plugins') } })
  try {
    await gateway.admin('PUT', '/services/echo', { url: `${upstream.origin}/anything` })
    await gateway.admin('PUT', '/services/echo/routes/echo', { paths: ['/echo'] })
    const added = await gateway.admin('POST', '/plugins', new URLSearchParams({ name: 'say-hello', 'config.greeting': 'Ahoy' }))
    assert.equal(added.status, 201, added.text)
    const { headers, json } = await client.get(`${gateway.proxyOrigin}/echo`)
    assert.equal(headers['x-greeting'], 'Ahoy')
    assert.equal(json?.['headers']?.['X-Greeting'], 'Ahoy, stranger')
    const refused = await gateway.admin('POST', '/plugins', { name: 'say-hello', config: { greeting: 'x'.repeat(101) } })
    assert.equal(refused.status, 400)
  } finally {
    await client.close()
  }
})

for (const page of PAGES.filter((name) => declarativeBlocks(name).length > 0)) {
  test(`the declarative files in ${page} are valid`, async () => {
    await using folder = await temporaryFolder()
    for (const block of declarativeBlocks(page)) {
      const file = join(folder.path, 'kong.yml')
      await writeFile(file, block)
      const { exitCode, out, err } = await runProgram(process.execPath, [PROGRAM, 'config', 'parse', file], { env: cleanEnvironment() })
      assert.equal(exitCode, 0, `${out}${err}\n${block}`)
    }
  })
}

test('every plugin has a page with a declarative file', () => {
  const pages = globSync('docs/plugins/*.md', { cwd: ROOT })
  assert.ok(pages.length > 0)
  for (const page of pages) assert.ok(declarativeBlocks(page).length > 0, page)
})

test("addresses of the demo's authorization server in the documentation are those that it has", async () => {
  const server = await startAuthorizationServer()
  try {
    const { origin } = new URL(server.issuer)
    const known = [server.issuer, ...Object.values(server.endpoints)].map((url) => url.replace(origin, SERVER))
    const used = [...PAGES, ...EXAMPLES, 'examples/plugins/say-hello/handler.js'].flatMap(
      (file) => textOf(file).match(/http:\/\/127\.0\.0\.1:8090\/[\w/.-]+/g) ?? [],
    )
    assert.ok(used.length > 0)
    assert.deepEqual(
      used.filter((url) => !known.includes(url)),
      [],
    )
  } finally {
    await server.stop()
  }
})
