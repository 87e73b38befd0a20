import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { startEchoUpstream } from '../../demo/echo-upstream.ts'
import { listen } from '../../demo/listening.ts'
import { type Gateway, type GatewayOptions, GatewayStartError, startGateway } from '../support/gateway.ts'
import { createHttpClient } from '../support/http-client.ts'
import { unusedPort } from '../support/ports.ts'
import { headerOf, RawConnection } from '../support/raw-client.ts'
import { type RawUpstream, startRawUpstream } from '../support/raw-upstream.ts'
import { temporaryFolder } from '../support/temp.ts'
import { until } from '../support/until.ts'

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Answers who serves: `request.worker`. */
const WHO = { name: 'request-termination', config: { status_code: 200, echo: true } }
const whoRoute = { name: 'who', paths: ['/who'], plugins: [WHO] }
const declarative = (url: string, ...routes: object[]) => ({
  _format_version: '3.0',
  services: [{ name: 'upstream', url, retries: 0, routes: [{ name: 'all', paths: ['/'] }] }],
  routes: [whoRoute, ...routes],
})

/** The worker that serves a connection. */
async function workerOf(connection: RawConnection): Promise<number> {
  connection.send('GET /who HTTP/1.1\r\nHost: a\r\n\r\n')
  const response = await connection.readFinalResponse()
  return Number(JSON.parse(response.body.toString()).kong.worker_pid)
}

/** Answers each connection's request with `done`, once it is released. */
async function startHeldUpstream(): Promise<RawUpstream & { release(): void }> {
  const gate = Promise.withResolvers<void>()
  const upstream = await startRawUpstream(async (connection) => {
    await connection.readRequest()
    await gate.promise
    await connection.respond('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone')
  })
  return { ...upstream, release: gate.resolve }
}

async function workersOf(gateway: Gateway): Promise<number[]> {
  return Object.values((await gateway.admin('GET', '/')).json?.pids?.workers ?? {}).map(Number)
}

describe('what keeps the gateway from starting is said, with exit code 1', () => {
  async function refusalOf(options: GatewayOptions): Promise<string> {
    let error: unknown
    await startGateway(options).then(
      (gateway) => gateway.stop(),
      (reason: unknown) => {
        error = reason
      },
    )
    assert.ok(error instanceof GatewayStartError, 'it started')
    assert.equal(error.exitCode, 1)
    assert.doesNotMatch(error.output, /\n\s+at |Sallyport started/)
    return error.output
  }

  for (const listener of ['PROXY', 'ADMIN', 'STATUS']) {
    test(`the ${listener.toLowerCase()} port is taken`, async () => {
      const server = createServer()
      const port = await listen(server)
      try {
        const output = await refusalOf({ env: { [`SALLYPORT_${listener}_LISTEN`]: `127.0.0.1:${port}` }, workers: 2 })
        assert.match(output, new RegExp(`^Error: .*(EADDRINUSE|in use).*${port}`, 'm'))
      } finally {
        server.close()
        await once(server, 'close')
      }
    })
  }

  test('settings that are wrong, each with its name, all in one run', async () => {
    const output = await refusalOf({
      env: { SALLYPORT_TRUSTED_IPS: 'nowhere', SALLYPORT_DATABASE: 'mongo', KONG_CLIENT_MAX_BODY_SIZE: 'much' },
    })
    for (const name of ['trusted_ips', 'database', 'client_max_body_size']) assert.match(output, new RegExp(name))
  })

  test('an Admin API for everybody without a token', async () => {
    assert.match(await refusalOf({ env: { SALLYPORT_ADMIN_LISTEN: '0.0.0.0:0' } }), /admin_(token|insecure|listen)/)
  })

  test('a plugin that is not installed', async () => {
    assert.match(await refusalOf({ plugins: ['bundled-not', 'no-such-plugin'] }), /not installed: .*no-such-plugin/)
  })

  test('a declarative file with a fault: its line and its field', async () => {
    const file = ['_format_version: "3.0"', 'services:', '- name: a', '  host: b', '  port: 99999', ''].join('\n')
    assert.match(await refusalOf({ database: 'off', declarative: file }), /in 'port': .*\(line 5, column \d+\)/)
  })

  test('a declarative file that is no YAML: its line', async () => {
    assert.match(await refusalOf({ database: 'off', declarative: 'a: [1,\nb: "\n' }), /line \d/)
  })

  test('a declarative file that is not there', async () => {
    const output = await refusalOf({ database: 'off', env: { SALLYPORT_DECLARATIVE_CONFIG: '/nonexistent/kong.yml' } })
    assert.match(output, /\/nonexistent\/kong\.yml/)
  })

  test('a database of a newer version, which stays as it is', async () => {
    const gateway = await startGateway()
    try {
      await gateway.quit()
      const file = join(gateway.prefix, 'sallyport.sqlite')
      const database = new DatabaseSync(file)
      database.exec("insert into schema_migrations (version, name, applied_at) values (999, 'future', 0)")
      database.close()
      await assert.rejects(gateway.restart(), (error) => {
        assert.ok(error instanceof GatewayStartError)
        assert.equal(error.exitCode, 1)
        assert.match(error.output, /^Error: .*newer version/m)
        return true
      })
    } finally {
      await gateway.stop()
    }
  })

  test('another gateway runs in the prefix', async () => {
    await using gateway = await startGateway()
    const second = await gateway.command('start')
    assert.equal(second.exitCode, 1)
    assert.match(second.output, /already running/)
    assert.equal((await gateway.admin('GET', '/status')).status, 200)
  })

  test('a folder that is no plugin in plugins_dir', async () => {
    await using folder = await temporaryFolder()
    await writeFile(join(folder.path, 'x'), '')
    assert.match(await refusalOf({ env: { SALLYPORT_PLUGINS_DIR: join(folder.path, 'missing') } }), /plugins_dir/)
  })
})

describe('settings', () => {
  test('SALLYPORT_X wins over KONG_X, which wins over the file; names without effect make one warning', async () => {
    await using gateway = await startGateway({
      conf: 'error_default_type = application/xml\nreal_ip_header = X-A\nlua_package_path = /x\nnginx_http_foo = bar\n',
      env: {
        KONG_REAL_IP_HEADER: 'X-B',
        KONG_KEEPALIVE_TIMEOUT: '11s',
        SALLYPORT_KEEPALIVE_TIMEOUT: '12s',
        KONG_SPOON: 'none',
        KONG_SERVICE_HOST: '10.0.0.1',
      },
    })
    const configuration = (await gateway.admin('GET', '/')).json?.configuration
    assert.equal(configuration?.['error_default_type'], 'application/xml')
    assert.equal(configuration?.['real_ip_header'], 'X-B')
    assert.match(JSON.stringify(configuration?.['keepalive_timeout']), /12/)
    const warnings = gateway.output.split('\n').filter((line) => line.includes('without effect'))
    assert.equal(warnings.length, 1, gateway.output)
    for (const name of ['lua_package_path', 'nginx_http_foo', 'spoon']) assert.match(warnings[0] as string, new RegExp(name))
    assert.doesNotMatch(warnings[0] as string, /service_host/)
  })
})

describe('the end', () => {
  test('SIGTERM ends at once, with code 0, requests under way or not, and nothing is left behind', async () => {
    await using upstream = await startRawUpstream(() => {})
    const gateway = await startGateway({ database: 'off', declarative: declarative(upstream.origin), workers: 2 })
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n')
    await upstream.connected(1)
    const workers = await workersOf(gateway)
    assert.equal(workers.length, 2)
    gateway.signal('SIGTERM')
    assert.equal(await gateway.exited, 0)
    await connection.closed
    assert.deepEqual(workers.filter(isAlive), [])
    assert.equal(existsSync(join(gateway.prefix, 'pids/sallyport.pid')), false)
    await gateway.stop()
  })

  test('SIGQUIT: new connections are refused, a request under way is answered, idle connections are closed, then code 0', async () => {
    await using upstream = await startHeldUpstream()
    const gateway = await startGateway({ database: 'off', declarative: declarative(upstream.origin), workers: 2 })
    await using idle = await RawConnection.open(gateway.proxyPort)
    await workerOf(idle)
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n')
    await upstream.connected(1)
    gateway.signal('SIGQUIT')
    await idle.closed
    const isRefused = () =>
      RawConnection.open(gateway.proxyPort).then(
        (open) => {
          open.destroy()
          return false
        },
        () => true,
      )
    await until(isRefused, 'connections are still accepted')
    assert.equal(gateway.exitCode, undefined)
    upstream.release()
    const response = await connection.readFinalResponse()
    assert.deepEqual([response.status, response.body.toString(), headerOf(response, 'connection')], [200, 'done', 'close'])
    assert.equal(await gateway.exited, 0)
    await gateway.stop()
  })

  test('SIGTERM overtakes a drain that waits', async () => {
    await using upstream = await startRawUpstream(() => {})
    const gateway = await startGateway({ database: 'off', declarative: declarative(upstream.origin) })
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n')
    await upstream.connected(1)
    gateway.signal('SIGQUIT')
    gateway.signal('SIGTERM')
    assert.equal(await gateway.exited, 0)
    await gateway.stop()
  })
})

describe('reload', () => {
  test('not one request fails while workers are replaced under load, on fresh connections and on kept ones', async () => {
    await using upstream = await startEchoUpstream()
    await using gateway = await startGateway({ database: 'off', declarative: declarative(upstream.origin), workers: 2, logLevel: 'error' })
    const before = await workersOf(gateway)
    let stop = false
    const failures: string[] = []
    let requests = 0
    const note = (status: number, text: string) => {
      requests++
      if (status !== 200) failures.push(text)
    }
    const keptClients = Array.from({ length: 4 }, async () => {
      await using client = createHttpClient(gateway.proxyOrigin)
      while (!stop) {
        await client.get('/get').then(
          (response) => note(response.status, response.text),
          (error: unknown) => note(0, String(error)),
        )
      }
    })
    const freshClients = Array.from({ length: 4 }, async () => {
      while (!stop) {
        await (async () => {
          await using connection = await RawConnection.open(gateway.proxyPort)
          connection.send('GET /get HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
          const response = await connection.readFinalResponse()
          note(response.status, response.raw.toString())
        })().catch((error: unknown) => note(0, String(error)))
      }
    })
    for (let round = 0; round < 3; round++) {
      const { exitCode, output } = await gateway.command('reload')
      assert.equal(exitCode, 0, output)
    }
    stop = true
    await Promise.all([...keptClients, ...freshClients])
    assert.deepEqual(failures, [])
    assert.ok(requests > 50, String(requests))
    await until(async () => (await workersOf(gateway)).every((pid) => !before.includes(pid)), 'old workers stay')
    await until(() => !before.some(isAlive), 'old workers live on')
  })

  test('a request under way during a reload is answered by the worker that has it', async () => {
    await using upstream = await startHeldUpstream()
    await using gateway = await startGateway({ database: 'off', declarative: declarative(upstream.origin) })
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n')
    await upstream.connected(1)
    assert.equal((await gateway.command('reload')).exitCode, 0)
    upstream.release()
    assert.equal((await connection.readFinalResponse()).body.toString(), 'done')
  })

  test('a bad file is refused with its place, and the old configuration goes on serving, also in new workers', async () => {
    await using upstream = await startEchoUpstream()
    await using gateway = await startGateway({ database: 'off', declarative: declarative(upstream.origin) })
    await using client = createHttpClient(gateway.proxyOrigin)
    const file = join(gateway.prefix, 'declarative.json')
    const good = await readFile(file, 'utf8')
    for (const bad of [
      '{"_format_version": "3.0", "services": [{"name": "a", "host": "b", "port": "x"}]}',
      '{',
      '{"_format_version": "9.9"}',
    ]) {
      await writeFile(file, bad)
      const { exitCode, output } = await gateway.command('reload')
      assert.equal(exitCode, 1)
      assert.match(output, /^Error: /m)
      assert.equal((await client.get('/get')).status, 200)
    }
    await using connection = await RawConnection.open(gateway.proxyPort)
    const worker = await workerOf(connection)
    process.kill(worker, 'SIGKILL')
    await until(async () => (await client.get('/get').catch(() => undefined))?.status === 200, 'no new worker')
    const changed = JSON.parse(good)
    changed.routes.push({ name: 'new', paths: ['/new'], plugins: [WHO] })
    await writeFile(file, JSON.stringify(changed))
    assert.equal((await gateway.command('reload')).exitCode, 0)
    assert.equal((await client.get('/new')).status, 200)
  })

  test('a bad conf file is refused, and the old settings go on', async () => {
    await using gateway = await startGateway({ conf: 'log_level = notice\n' })
    await writeFile(join(gateway.prefix, 'sallyport.conf'), 'trusted_ips = nowhere\n')
    const { exitCode, output } = await gateway.command('reload')
    assert.equal(exitCode, 1)
    assert.match(output, /trusted_ips/)
    assert.equal((await gateway.admin('GET', '/status')).status, 200)
  })
})

describe('crashes', () => {
  test('a worker killed with SIGKILL is replaced, and requests in other workers go on', async () => {
    await using upstream = await startHeldUpstream()
    await using gateway = await startGateway({ database: 'off', declarative: declarative(upstream.origin), workers: 2 })
    await using survivor = await RawConnection.open(gateway.proxyPort)
    const staying = await workerOf(survivor)
    const victim = (await workersOf(gateway)).find((pid) => pid !== staying) as number
    survivor.send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n')
    await upstream.connected(1)
    process.kill(victim, 'SIGKILL')
    await until(async () => {
      const pids = await workersOf(gateway)
      return pids.length === 2 && !pids.includes(victim)
    }, 'no new worker')
    await until(() => isReady(gateway), 'not ready')
    upstream.release()
    assert.equal((await survivor.readFinalResponse()).body.toString(), 'done')
    const seen = new Set<number>()
    await until(async () => {
      await using connection = await RawConnection.open(gateway.proxyPort)
      return seen.add(await workerOf(connection)).size === 2
    }, 'the new worker gets no connections')
  })

  test('a connection that was on its way to a worker when that died is served by another', async () => {
    await using gateway = await startGateway({ database: 'off', workers: 2, logLevel: 'error' })
    const [victim] = await workersOf(gateway)
    // It takes nothing any more, but is still chosen.
    process.kill(victim as number, 'SIGSTOP')
    const connections = await Promise.all(Array.from({ length: 6 }, () => RawConnection.open(gateway.proxyPort)))
    let answered = 0
    const answers = connections.map(async (connection) => {
      connection.send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n')
      const { status } = await connection.readFinalResponse()
      answered++
      return status
    })
    await until(() => answered >= 3, 'the other worker does not serve')
    assert.ok(answered < connections.length)
    process.kill(victim as number, 'SIGKILL')
    assert.deepEqual(new Set(await Promise.all(answers)), new Set([404]))
    for (const connection of connections) connection.destroy()
  })

  test('a worker that comes later serves the newest configuration', async () => {
    await using gateway = await startGateway()
    await gateway.admin('PUT', '/routes/who', { paths: ['/who'] })
    await gateway.admin('POST', '/routes/who/plugins', WHO)
    const [first] = await workersOf(gateway)
    process.kill(first as number, 'SIGKILL')
    await until(async () => {
      const pids = await workersOf(gateway)
      return pids.length === 1 && pids[0] !== first && (await isReady(gateway))
    }, 'no new worker')
    await using connection = await RawConnection.open(gateway.proxyPort)
    assert.notEqual(await workerOf(connection), first)
  })

  test('kill -9 of the primary leaves no worker behind, and what was acknowledged is there afterwards', async () => {
    const gateway = await startGateway({ workers: 2, logLevel: 'error' })
    const workers = await workersOf(gateway)
    const acknowledged: string[] = []
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let i = 0; ; i++) {
        const name = `consumer-${writer}-${i}`
        const answer = await gateway.admin('PUT', `/consumers/${name}`, {}).catch(() => undefined)
        if (answer?.status !== 200) return
        acknowledged.push(name)
      }
    })
    await until(() => acknowledged.length >= 40, 'no writes')
    await gateway.kill9()
    await Promise.all(writers)
    await until(() => !workers.some(isAlive), 'workers outlive the primary')
    await gateway.restart()
    for (const name of acknowledged) assert.equal((await gateway.admin('GET', `/consumers/${name}`)).status, 200, name)
    await gateway.stop()
  })
})

describe('GET /status', () => {
  test('answers 200 no sooner than workers route', async () => {
    const [proxyPort, statusPort] = [await unusedPort(), await unusedPort()]
    const starting = startGateway({
      database: 'off',
      declarative: declarative('http://127.0.0.1:1'),
      workers: 2,
      env: { SALLYPORT_PROXY_LISTEN: `127.0.0.1:${proxyPort}`, SALLYPORT_STATUS_LISTEN: `127.0.0.1:${statusPort}` },
    })
    await using client = createHttpClient()
    try {
      await until(async () => {
        const answer = await client.get(`http://127.0.0.1:${statusPort}/status`).catch(() => undefined)
        return answer?.status === 200
      }, 'never ready')
      for (let i = 0; i < 4; i++) {
        await using connection = await RawConnection.open(proxyPort)
        await workerOf(connection)
      }
    } finally {
      await (await starting).stop()
    }
  })

  test('/status/ready is 503 while a worker is missing, and 200 when it is replaced', async () => {
    await using gateway = await startGateway({ database: 'off', declarative: declarative('http://127.0.0.1:1') })
    assert.equal(await isReady(gateway), true)
    process.kill((await workersOf(gateway))[0] as number, 'SIGKILL')
    await until(async () => !(await isReady(gateway)), 'it never said so')
    await until(() => isReady(gateway), 'it was not replaced')
    await using connection = await RawConnection.open(gateway.proxyPort)
    await workerOf(connection)
  })
})

async function isReady(gateway: Gateway): Promise<boolean> {
  await using client = createHttpClient()
  const { status } = await client.get(`${gateway.statusOrigin}/status/ready`)
  assert.ok(status === 200 || status === 503)
  return status === 200
}

test('GET /status of the Admin API answers 503 while no worker routes, and 200 again when one does', async () => {
  await using gateway = await startGateway({ database: 'off', workers: 1 })
  process.kill((await workersOf(gateway))[0] as number, 'SIGKILL')
  const seen: number[] = []
  while (!(seen.includes(503) && seen.at(-1) === 200)) {
    seen.push((await gateway.admin('GET', '/status')).status)
    assert.ok(seen.length < 5000, `statuses: ${[...new Set(seen)].join(', ')}`)
  }
})
