import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type GatewayOptions, GatewayStartError, startGateway } from './gateway.ts'
import { createHttpClient } from './http-client.ts'
import { type TemporaryFolder, temporaryFolder } from './temp.ts'

/** Does what the harness expects of the gateway's command line, and serves its own environment on every listener. */
const program = `
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
const { env, argv } = process
if (argv[2] !== 'start') {
  console.log('ran ' + argv.slice(2).join(' ') + ' on ' + env.SALLYPORT_PREFIX)
  process.exit(3)
}
if (env.FAIL) {
  console.error('bad configuration')
  process.exit(1)
}
if (env.ORPHAN) spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' }).unref()
const listen = (address) => new Promise((resolve) => {
  const server = createServer(async (request, response) => {
    const body = (await request.toArray()).join('')
    response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body, argv: argv.slice(2), env }))
  })
  const [host, port] = address.split(':')
  server.listen(Number(port), host, () => resolve(host + ':' + server.address().port))
})
const addresses = {}
for (const name of ['proxy', 'admin', 'status']) addresses[name] = [await listen(env['SALLYPORT_' + name.toUpperCase() + '_LISTEN'])]
mkdirSync(env.SALLYPORT_PREFIX + '/run', { recursive: true })
mkdirSync(env.SALLYPORT_PREFIX + '/logs', { recursive: true })
writeFileSync(env.SALLYPORT_PREFIX + '/logs/access.log', 'access line\\n')
writeFileSync(env.SALLYPORT_PREFIX + '/run/state.json', JSON.stringify({ pid: process.pid, addresses }))
if (env.SALLYPORT_DECLARATIVE_CONFIG) console.log(readFileSync(env.SALLYPORT_DECLARATIVE_CONFIG, 'utf8'))
process.on('SIGTERM', () => process.exit(0))
process.on('SIGQUIT', () => process.exit(7))
process.on('SIGHUP', () => console.error('reloaded'))
console.log('Sallyport started')
`

describe('gateway harness', () => {
  let folder: TemporaryFolder
  let fake: string[]
  before(async () => {
    folder = await temporaryFolder()
    fake = [join(folder.path, 'fake.mjs')]
    await writeFile(fake[0]!, program)
  })
  after(() => folder.remove())

  const start = (options: GatewayOptions = {}) => startGateway({ program: fake, ...options })

  test('a started gateway is known by its ports, and stop() leaves no process and no prefix', async () => {
    const gateway = await start()
    assert.notEqual(gateway.proxyPort, gateway.adminPort)
    await using client = createHttpClient(gateway.proxyOrigin)
    assert.equal((await client.get('/x?y')).json?.url, '/x?y')
    const answer = await gateway.admin('POST', '/services', { name: 's' }, { 'kong-admin-token': 't' })
    assert.equal(answer.status, 200)
    assert.equal(answer.json?.body, '{"name":"s"}')
    const headers = answer.json?.headers
    assert.deepEqual([headers?.['content-type'], headers?.['kong-admin-token']], ['application/json', 't'])
    assert.equal(gateway.exitCode, undefined)
    assert.match(await gateway.logText(), /Sallyport started\n(.|\n)*access line/)
    const { pid, prefix } = gateway
    await gateway.stop()
    assert.equal(gateway.exitCode, 0)
    assert.equal(existsSync(prefix), false)
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
    await gateway.stop()
  })

  test('options become settings, and settings of the surroundings are not passed on', async () => {
    process.env['KONG_PROXY_LISTEN'] = '0.0.0.0:8000'
    try {
      const options: GatewayOptions = {
        workers: 2,
        plugins: ['bundled', 'x'],
        conf: 'a = b\n',
        logLevel: 'warn',
        env: { SALLYPORT_TRUSTED_IPS: '::/0' },
      }
      await using gateway = await start(options)
      const { json } = await gateway.admin('GET', '/')
      const env = json?.env
      assert.equal(env?.['KONG_PROXY_LISTEN'], undefined)
      assert.equal(env?.['SALLYPORT_NGINX_WORKER_PROCESSES'], '2')
      assert.equal(env?.['SALLYPORT_PLUGINS'], 'bundled,x')
      assert.equal(env?.['SALLYPORT_LOG_LEVEL'], 'warn')
      assert.equal(env?.['SALLYPORT_DATABASE'], 'sqlite')
      assert.equal(env?.['SALLYPORT_TRUSTED_IPS'], '::/0')
      assert.deepEqual(json?.argv, ['start', '-c', join(gateway.prefix, 'sallyport.conf')])
    } finally {
      delete process.env['KONG_PROXY_LISTEN']
    }
  })

  test('a declarative configuration is a file and needs database off', async () => {
    await using gateway = await start({ database: 'off', declarative: { _format_version: '3.0' } })
    assert.match(gateway.output, /\{"_format_version":"3.0"\}/)
    await assert.rejects(start({ declarative: 'x' }), TypeError)
  })

  test('a gateway that ends before it serves rejects with what it printed', async () => {
    await assert.rejects(start({ env: { FAIL: '1' } }), (error) => {
      assert.ok(error instanceof GatewayStartError)
      assert.equal(error.exitCode, 1)
      assert.match(error.message, /bad configuration/)
      return true
    })
  })

  test('output can be waited for, and waiting ends with the process', async () => {
    await using gateway = await start()
    const from = gateway.output.length
    const waiting = gateway.waitForOutput(/re(loaded)/g, from)
    gateway.signal('SIGHUP')
    assert.equal((await waiting)[1], 'loaded')
    const vain = assert.rejects(gateway.waitForOutput(/never/), /ended before it printed/)
    assert.equal(await gateway.quit(), 7)
    await vain
  })

  test('a killed gateway restarts on the same prefix and ports', async () => {
    await using gateway = await start()
    const { proxyPort, adminPort, prefix, pid } = gateway
    await gateway.kill9()
    assert.equal(gateway.exitCode, null)
    await gateway.restart({ env: { EXTRA: '1' } })
    assert.deepEqual([gateway.proxyPort, gateway.adminPort, gateway.prefix], [proxyPort, adminPort, prefix])
    assert.notEqual(gateway.pid, pid)
    assert.equal((await gateway.admin('GET', '/')).json?.env?.['EXTRA'], '1')
  })

  test('other commands run on the same prefix', async () => {
    await using gateway = await start()
    const { exitCode, output } = await gateway.command('health')
    assert.deepEqual([exitCode, output], [3, `ran health on ${gateway.prefix}\n`])
  })

  test('a process that outlives the gateway is reported and killed', { skip: !existsSync('/proc/self/stat') }, async () => {
    const gateway = await start({ env: { ORPHAN: '1' } })
    await assert.rejects(gateway.stop(), /outlived the gateway/)
    assert.equal(existsSync(gateway.prefix), false)
  })
})
