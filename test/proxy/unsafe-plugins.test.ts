/** A plugin may write anything: what may not stand in a head never does, and the worker lives (RFC 9110 section 5.5, RFC 9112 section 11.1). */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { END_HEADERS, END_STREAM, H2Frames, requestLines } from '../support/h2-frames.ts'
import { exchange, RawConnection } from '../support/raw-client.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/temp.ts'

/** Writes `value` into a header in the phase that the configuration names. */
const HANDLER = `export default ({ definePlugin, pluginSchema, field }) => definePlugin({
  schema: pluginSchema({
    name: 'unsafe',
    scopes: ['route'],
    config: {
      phase: field.string({ required: true, description: 'Where it writes.' }),
      header: field.string({ default: 'X-A', description: 'What it writes.' }),
      value: field.string({ required: true, description: 'What it writes, as JSON.' }),
    },
  }),
  version: '1.0.0',
  priority: 100,
  configure: (config) => ({ ...config, value: JSON.parse(config.value) }),
  access(context, { phase, header, value }) {
    if (phase === 'request') context.request.headers.set(header, value)
    if (phase === 'exit') context.exit(200, 'ok', [[header, value]])
    if (phase === 'status') context.exit(value, 'ok')
    if (phase === 'throw') throw new Error(value)
  },
  headerFilter(context, { phase, header, value }) {
    if (phase === 'response') context.response.headers.set(header, value)
    if (phase === 'reason') context.response.reason = value
    if (phase === 'response-status') context.response.status = value
    if (phase === 'response-throw') throw new Error(value)
  },
})
`

const SPLIT = '1\r\nX-Split: 2\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'

/** Name, configuration, and whether the upstream may be asked. */
const cases: readonly (readonly [name: string, config: { phase: string; header?: string; value: unknown }])[] = [
  ['a line end in a value for the upstream', { phase: 'request', value: SPLIT }],
  ['a NUL in a value for the upstream', { phase: 'request', value: '1\0' }],
  ['a character that is no byte for the upstream', { phase: 'request', value: '\u20ac' }],
  ['a name that is no token for the upstream', { phase: 'request', header: 'X A', value: '1' }],
  ['a line end in a name for the upstream', { phase: 'request', header: 'X\r\nY', value: '1' }],
  ['a line end in a value of an early answer', { phase: 'exit', value: SPLIT }],
  ['a redirect with a line end', { phase: 'exit', header: 'Location', value: `https://a/${SPLIT}` }],
  ['a name that is no token in an early answer', { phase: 'exit', header: 'X:A', value: '1' }],
  ['a line end in a value of the response', { phase: 'response', value: SPLIT }],
  ['a cookie with a line end', { phase: 'response', header: 'Set-Cookie', value: `a=${SPLIT}` }],
  ['a character that is no byte in the response', { phase: 'response', value: '\u20ac' }],
  ['a name that is no token in the response', { phase: 'response', header: 'X(A)', value: '1' }],
  ['a status that is none in an early answer', { phase: 'status', value: 99 }],
  ['a status of interim answers in an early answer', { phase: 'status', value: 103 }],
  ['a status that is none in the response', { phase: 'response-status', value: 1000 }],
  ['an error in access', { phase: 'throw', value: 'broken' }],
  ['a line end in the reason', { phase: 'reason', value: `OK\r\n${SPLIT}` }],
]

let upstream: EchoUpstream
let folder: TemporaryFolder
let gateway: Gateway

before(async () => {
  upstream = await startEchoUpstream()
  folder = await temporaryFolder()
  await mkdir(join(folder.path, 'unsafe'))
  await writeFile(join(folder.path, 'unsafe', 'handler.js'), HANDLER)
  const route = (name: string, config: { value: unknown }) => ({
    name,
    paths: [`/${name}`],
    strip_path: false,
    plugins: [{ name: 'unsafe', config: { ...config, value: JSON.stringify(config.value) } }],
  })
  gateway = await startGateway({
    database: 'off',
    plugins: ['bundled', 'unsafe'],
    env: { SALLYPORT_PLUGINS_DIR: folder.path, SALLYPORT_PROXY_LISTEN: '127.0.0.1:0 http2' },
    declarative: {
      _format_version: '3.0',
      services: [
        {
          name: 'echo',
          url: upstream.origin,
          retries: 0,
          routes: [{ name: 'anything', paths: ['/anything'], strip_path: false }, ...cases.map(([, config], i) => route(`c${i}`, config))],
        },
        {
          name: 'gone',
          url: 'http://127.0.0.1:1',
          retries: 0,
          routes: cases.map(([, config], i) => route(`gone${i}`, config)),
        },
      ],
    },
    logLevel: 'crit',
  })
})
after(async () => {
  await gateway?.stop()
  await upstream?.stop()
  await folder?.remove()
})

const workers = async (): Promise<unknown> => (await gateway.admin('GET', '/')).json?.['pids']

describe('what a plugin writes and may not stand in a head is a 500, and nothing of it is sent', () => {
  for (const [index, [name]] of cases.entries()) {
    test(name, async () => {
      upstream.reset()
      const pids = await workers()
      for (const path of [`/c${index}`, `/gone${index}`]) {
        await using connection = await RawConnection.open(gateway.proxyPort)
        connection.send(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
        const text = (await connection.readUntilClose()).toString('latin1')
        assert.match(text, /^HTTP\/1\.1 500 /, path)
        assert.doesNotMatch(text, /X-Split|200 OK/)
        await using client = await H2Frames.open(gateway.proxyPort)
        client.request(1, requestLines('GET', path), END_HEADERS | END_STREAM)
        if (!name.endsWith('reason')) assert.equal(await client.outcome(1), 'status 500')
      }
      assert.ok(upstream.requests.every(({ rawHeaders }) => rawHeaders.every(([line]) => !/split/i.test(line))))
      assert.equal((await exchange(gateway.proxyPort, ['GET /anything HTTP/1.1', 'Host: a'])).status, 200)
      assert.deepEqual(await workers(), pids)
    })
  }
})
