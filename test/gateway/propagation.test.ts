import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { RawConnection } from '../support/raw-client.ts'
import { type StubIntrospection, startStubIntrospection } from '../support/stub-introspection.ts'

const WORKERS = 2
const CHANGES = 50
/** Fresh connections are dealt out in turn; other clients may keep step with us for a while, but not for so many. */
const MAX_CONNECTIONS = 1000

type Served = { readonly status: number; readonly worker: number; readonly version: string; readonly versions: readonly string[] }

/** One request on a connection of its own, answered by request-termination's echo, which tells worker, route, service and its own configuration. */
async function ask(gateway: Gateway, path = '/x'): Promise<Served> {
  await using connection = await RawConnection.open(gateway.proxyPort)
  connection.send(`GET ${path} HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer t\r\nConnection: close\r\n\r\n`)
  return servedBy(await connection.readFinalResponse())
}

async function askOn(connection: RawConnection): Promise<Served> {
  connection.send('GET /x HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer t\r\n\r\n')
  return servedBy(await connection.readFinalResponse())
}

function servedBy({ status, body }: { status: number; body: Buffer }): Served {
  if (status !== 200) return { status, worker: 0, version: '', versions: [] }
  const { message, kong, matched_route, matched_service } = JSON.parse(body.toString())
  const versions = [message, ...(matched_route.tags ?? []), ...(matched_service?.tags ?? [])].map(String)
  return { status, worker: kong.worker_pid, version: message, versions }
}

/** Asks until every worker has answered; each answer must fulfil `check`. */
async function inEveryWorker(gateway: Gateway, check: (served: Served) => void, path?: string): Promise<void> {
  const seen = new Set<number>()
  for (let i = 0; seen.size < WORKERS; i++) {
    assert.ok(i < MAX_CONNECTIONS, `only ${seen.size} workers answer`)
    const served = await ask(gateway, path)
    check(served)
    // A request that no route matches tells no worker.
    seen.add(served.worker === 0 ? -i : served.worker)
  }
}

describe('a change is in force in every worker when the Admin API has acknowledged it', () => {
  let gateway: Gateway
  before(async () => {
    gateway = await startGateway({ workers: WORKERS, logLevel: 'error' })
  })
  after(() => gateway.stop())

  const change = async (method: string, path: string, body?: object): Promise<string> => {
    const answer = await gateway.admin(method, path, body)
    assert.ok(answer.status < 300, answer.text)
    return String(answer.json?.id)
  }

  const termination = (message: string) => ({ name: 'request-termination', config: { status_code: 200, message, echo: true } })

  test(`${CHANGES} changes of a plugin, each followed at once by requests`, async () => {
    await change('PUT', '/routes/changing', { paths: ['/changing'] })
    const plugin = await change('POST', '/routes/changing/plugins', termination('v0'))
    for (let n = 1; n <= CHANGES; n++) {
      await change('PATCH', `/plugins/${plugin}`, { config: { message: `v${n}` } })
      await inEveryWorker(gateway, ({ version }) => assert.equal(version, `v${n}`), '/changing')
    }
  })

  test('routes that come, move and go', async () => {
    for (let n = 1; n <= 10; n++) {
      await change('PUT', '/routes/moving', { paths: [`/moving-${n}`] })
      if (n === 1) await change('POST', '/routes/moving/plugins', termination('here'))
      await inEveryWorker(gateway, ({ status }) => assert.equal(status, 200), `/moving-${n}`)
      for (let i = 0; i < WORKERS * 2; i++) assert.equal((await ask(gateway, `/moving-${n - 1}`)).status, 404)
    }
    await change('DELETE', '/routes/moving')
    for (let i = 0; i < WORKERS * 2; i++) assert.equal((await ask(gateway, '/moving-10')).status, 404)
  })

  test('changes that come at the same time are all in force when all are acknowledged', async () => {
    const names = Array.from({ length: 20 }, (_, n) => `burst-${n}`)
    await Promise.all(
      names.map(async (name) => {
        await change('PUT', `/routes/${name}`, { paths: [`/${name}/`] })
        await change('POST', `/routes/${name}/plugins`, termination(name))
        await inEveryWorker(gateway, ({ version }) => assert.equal(version, name), `/${name}/`)
      }),
    )
  })
})

describe('a configuration is in force as a whole or not at all', () => {
  let gateway: Gateway
  let server: StubIntrospection
  before(async () => {
    server = await startStubIntrospection({ body: { active: true } })
    gateway = await startGateway({ workers: WORKERS, database: 'off', declarative: configuration('v0'), logLevel: 'error' })
  })
  after(async () => {
    await server.stop()
    await gateway.stop()
  })

  /** Service, route and plugin all bear the version. */
  function configuration(version: string) {
    const introspection = { introspection_url: server.url, authorization_value: 'Basic eDp5' }
    const plugins = [
      { name: 'oauth2-introspection', config: introspection },
      { name: 'request-termination', config: { status_code: 200, message: version, echo: true } },
    ]
    const routes = [{ name: 'all', paths: ['/x'], tags: [version], plugins }]
    return { _format_version: '3.0', services: [{ name: 'one', host: '127.0.0.1', port: 1, tags: [version], routes }] }
  }

  const load = async (version: string) => {
    const answer = await gateway.admin('POST', '/config', configuration(version))
    assert.equal(answer.status, 201, answer.text)
  }

  test('no request sees parts of two configurations while they change', async () => {
    let stop = false
    let requests = 0
    const clients = Array.from({ length: 4 }, async () => {
      while (!stop) {
        const { status, versions } = await ask(gateway)
        assert.equal(status, 200)
        assert.deepEqual(new Set(versions).size, 1, versions.join(', '))
        assert.equal(versions.length, 3)
        requests++
      }
    })
    for (let n = 1; n <= 20; n++) {
      await load(`w${n}`)
      await inEveryWorker(gateway, ({ versions }) => assert.deepEqual(versions, [`w${n}`, `w${n}`, `w${n}`]))
    }
    stop = true
    await Promise.all(clients)
    assert.ok(requests > 20, String(requests))
  })

  test('a large configuration is in force on connections that were there before, when it is acknowledged', async () => {
    const consumers = Array.from({ length: 3000 }, (_, n) => ({ username: `consumer-${n}`, tags: ['of no importance', 'but long'] }))
    const kept = new Map<number, RawConnection>()
    try {
      for (let i = 0; kept.size < WORKERS; i++) {
        assert.ok(i < MAX_CONNECTIONS)
        const connection = await RawConnection.open(gateway.proxyPort)
        const { worker } = await askOn(connection)
        kept.get(worker)?.destroy()
        kept.set(worker, connection)
      }
      for (let n = 1; n <= 5; n++) {
        const answer = await gateway.admin('POST', '/config', { ...configuration(`large${n}`), consumers })
        assert.equal(answer.status, 201, answer.text)
        const answers = await Promise.all([...kept.values()].map((connection) => askOn(connection)))
        assert.deepEqual(
          answers.map(({ version }) => version),
          Array(WORKERS).fill(`large${n}`),
        )
      }
    } finally {
      for (const connection of kept.values()) connection.destroy()
    }
  })

  test('a request under way ends with the configuration that it began with', async () => {
    await load('old')
    server.reset()
    server.hold()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send('GET /x HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer held\r\n\r\n')
    await server.received(1)
    await load('new')
    server.release()
    assert.deepEqual(servedBy(await connection.readFinalResponse()).versions, ['old', 'old', 'old'])
    connection.send('GET /x HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer held\r\n\r\n')
    assert.deepEqual(servedBy(await connection.readFinalResponse()).versions, ['new', 'new', 'new'])
  })

  test('a configuration with a fault is refused whole, and the old one is in force', async () => {
    await load('good')
    const bad = configuration('bad')
    const answer = await gateway.admin('POST', '/config', { ...bad, routes: [{ name: 'b', paths: ['no-slash'] }] })
    assert.equal(answer.status, 400)
    await inEveryWorker(gateway, ({ versions }) => assert.deepEqual(versions, ['good', 'good', 'good']))
  })
})
