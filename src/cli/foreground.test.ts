import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { CommandError } from './command.ts'
import { type ForegroundOptions, runForeground, type ServingGateway } from './foreground.ts'
import { preparePrefix } from './process-files.ts'
import { requestReload } from './reload-requests.ts'

const SELF = { pid: process.pid, began: null, addresses: null }
const ADDRESSES = { proxy: ['127.0.0.1:1'], admin: ['127.0.0.1:2'], status: [] }

let prefix = ''
beforeEach(() => {
  prefix = mkdtempSync(join(tmpdir(), 'sallyport-foreground-'))
  preparePrefix(prefix)
})
afterEach(() => rmSync(prefix, { recursive: true, force: true }))

/** A gateway that notes what it is asked, and ends a drain only by a stop. */
class NotingGateway implements ServingGateway {
  readonly addresses = ADDRESSES
  readonly calls: string[] = []
  readonly #closed = Promise.withResolvers<void>()
  readonly closed: Promise<void> = this.#closed.promise
  onReload: () => Promise<void> = async () => {}

  async reload(): Promise<void> {
    this.calls.push('reload')
    await this.onReload()
  }

  async stop(): Promise<void> {
    this.calls.push('stop')
    this.#closed.resolve()
  }

  async drain(): Promise<void> {
    this.calls.push('drain')
    await this.closed
  }
}

interface Serving {
  readonly gateway: NotingGateway
  readonly ended: Promise<void>
  readonly complaints: string[]
  readonly forced: Promise<void>
}

async function serve(more: Partial<ForegroundOptions> = {}): Promise<Serving> {
  const gateway = new NotingGateway()
  const complaints: string[] = []
  const ready = Promise.withResolvers<void>()
  const forced = Promise.withResolvers<void>()
  const ended = runForeground({
    prefix,
    start: async () => gateway,
    beforeReload: () => ({ needRestart: [] }),
    onReady: () => ready.resolve(),
    complain: (line) => complaints.push(line),
    force: forced.resolve,
    ...more,
  })
  await Promise.race([ready.promise, ended])
  return { gateway, ended, complaints, forced: forced.promise }
}

test('while it serves, pid and addresses stand in the prefix; afterwards they are gone', async () => {
  const { ended } = await serve()
  assert.equal(readFileSync(join(prefix, 'pids/sallyport.pid'), 'utf8'), `${process.pid}\n`)
  assert.deepEqual(JSON.parse(readFileSync(join(prefix, 'run/state.json'), 'utf8')).addresses, ADDRESSES)
  process.kill(process.pid, 'SIGTERM')
  await ended
  assert.equal(existsSync(join(prefix, 'pids/sallyport.pid')), false)
  assert.deepEqual(readdirSync(join(prefix, 'run')), [])
  assert.equal(process.listenerCount('SIGTERM'), 0)
})

test('SIGTERM stops at once', async () => {
  const { gateway, ended } = await serve()
  process.kill(process.pid, 'SIGTERM')
  await ended
  assert.deepEqual(gateway.calls, ['stop'])
})

test('SIGQUIT drains, and a later SIGTERM still stops', async () => {
  const { gateway, ended } = await serve()
  process.kill(process.pid, 'SIGQUIT')
  process.kill(process.pid, 'SIGQUIT')
  process.once('SIGQUIT', () => process.kill(process.pid, 'SIGTERM'))
  await ended
  assert.deepEqual(gateway.calls, ['drain', 'stop'])
})

test('SIGINT stops, a second one forces the end', async () => {
  const { gateway, ended, forced } = await serve()
  gateway.stop = async () => {
    process.kill(process.pid, 'SIGINT')
    await forced
  }
  process.kill(process.pid, 'SIGINT')
  await ended
})

test('a signal that comes before the gateway serves is obeyed when it does', async () => {
  const gateway = new NotingGateway()
  const { ended } = await serve({
    start: async () => {
      const seen = Promise.withResolvers<void>()
      process.once('SIGTERM', () => seen.resolve())
      process.kill(process.pid, 'SIGTERM')
      await seen.promise
      return gateway
    },
  })
  await ended
  assert.deepEqual(gateway.calls, ['stop'])
})

test('a start that fails leaves nothing behind and gives its reason', async () => {
  const start = async (): Promise<ServingGateway> => {
    throw new Error('address in use')
  }
  await assert.rejects(serve({ start }), /address in use/)
  assert.equal(existsSync(join(prefix, 'pids/sallyport.pid')), false)
})

test('a gateway that ends by itself ends the run, with its failure', async () => {
  class FailingGateway extends NotingGateway {
    override readonly closed = Promise.reject<void>(new Error('out of memory'))
  }
  await assert.rejects(serve({ start: async () => new FailingGateway(), onReady: () => {} }), /out of memory/)
  assert.equal(existsSync(join(prefix, 'pids/sallyport.pid')), false)
})

test('the run ends when the stop is complete, not when the gateway has merely closed', async () => {
  const { gateway, ended } = await serve()
  let complete = false
  const stop = gateway.stop.bind(gateway)
  gateway.stop = async () => {
    await stop()
    await new Promise(setImmediate)
    complete = true
  }
  process.kill(process.pid, 'SIGTERM')
  await ended
  assert.equal(complete, true)
})

test('reload is answered when the new configuration serves, with the settings that need a restart', async () => {
  const { gateway, ended } = await serve({ beforeReload: () => ({ needRestart: ['proxy_listen'] }) })
  assert.deepEqual(await requestReload(prefix, SELF, null, 10_000), { error: null, needRestart: ['proxy_listen'] })
  assert.deepEqual(gateway.calls, ['reload'])
  process.kill(process.pid, 'SIGTERM')
  await ended
  assert.deepEqual(readdirSync(join(prefix, 'run')), [])
})

test('a refused reload is answered with the reason, and the gateway serves on', async () => {
  const { gateway, ended, complaints } = await serve()
  gateway.onReload = async () => {
    throw new Error('no such plugin')
  }
  assert.equal((await requestReload(prefix, SELF, null, 10_000)).error, 'no such plugin')
  gateway.onReload = async () => {}
  assert.equal((await requestReload(prefix, SELF, null, 10_000)).error, null)
  assert.equal(complaints.length, 1)
  process.kill(process.pid, 'SIGTERM')
  await ended
})

test('settings that cannot be read refuse the reload before the gateway hears of it', async () => {
  const files: (string | null)[] = []
  const { gateway, ended } = await serve({
    beforeReload: (file) => {
      files.push(file)
      throw new Error('log_level has an invalid value')
    },
  })
  assert.equal((await requestReload(prefix, SELF, '/etc/other.conf', 10_000)).error, 'log_level has an invalid value')
  assert.deepEqual(files, ['/etc/other.conf'])
  assert.deepEqual(gateway.calls, [])
  process.kill(process.pid, 'SIGTERM')
  await ended
})

test('requests made at the same time are each answered, by a reload that began after them, one reload at a time', async () => {
  const { gateway, ended } = await serve()
  let under = 0
  gateway.onReload = async () => {
    under += 1
    assert.equal(under, 1)
    await new Promise(setImmediate)
    under -= 1
  }
  const outcomes = await Promise.all(Array.from({ length: 5 }, () => requestReload(prefix, SELF, null, 10_000)))
  assert.deepEqual(
    outcomes.map(({ error }) => error),
    [null, null, null, null, null],
  )
  process.kill(process.pid, 'SIGTERM')
  await ended
})

test('a second process does not run in the same prefix', async () => {
  // The process that runs these tests is alive and is not this one.
  writeFileSync(join(prefix, 'pids/sallyport.pid'), `${process.ppid}\n`)
  await assert.rejects(serve(), (error: unknown) => {
    assert.ok(error instanceof CommandError)
    assert.equal(error.message, `Sallyport is already running in ${prefix}`)
    return true
  })
  assert.equal(readFileSync(join(prefix, 'pids/sallyport.pid'), 'utf8'), `${process.ppid}\n`)
})

test('a stale pid file is replaced', async () => {
  writeFileSync(join(prefix, 'pids/sallyport.pid'), '2147483646\n')
  const { ended } = await serve()
  assert.equal(readFileSync(join(prefix, 'pids/sallyport.pid'), 'utf8'), `${process.pid}\n`)
  process.kill(process.pid, 'SIGTERM')
  await ended
})
