/** The commands that a person types first, in the order of the documentation. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { createHttpClient } from '../support/http-client.ts'
import { cleanEnvironment, runProgram } from '../support/run-program.ts'
import { temporaryFolder } from '../support/temp.ts'

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'sallyport.js')
const LISTEN = { SALLYPORT_PROXY_LISTEN: '127.0.0.1:0', SALLYPORT_ADMIN_LISTEN: '127.0.0.1:0', SALLYPORT_STATUS_LISTEN: 'off' }

for (const how of ['with -p', 'in the folder itself'] as const) {
  test(`${how}: start in the background says where it listens; health, reload and quit find it`, async () => {
    await using folder = await temporaryFolder()
    const prefix = join(folder.path, 'sallyport-data')
    const env = { ...cleanEnvironment(), ...LISTEN, SALLYPORT_NGINX_WORKER_PROCESSES: '1' }
    const sallyport = (command: string) =>
      runProgram(process.execPath, [PROGRAM, command, ...(how === 'with -p' ? ['-p', prefix] : [])], { cwd: folder.path, env })
    const client = createHttpClient()
    try {
      const started = await sallyport('start')
      assert.equal(started.exitCode, 0, started.err)
      const [, proxy, admin] = /^Sallyport started\n {2}proxy (\S+), Admin API (\S+), data in \S+\n$/.exec(started.out) ?? []
      assert.equal((await client.get(`http://${proxy}/`)).status, 404)
      assert.equal((await client.get(`http://${admin}/services`)).status, 200)

      const again = await sallyport('start')
      assert.equal(again.exitCode, 1)
      assert.match(again.err, /^Error: Sallyport is already running in \S+sallyport-data$/m)
      assert.match((await sallyport('health')).out, /is healthy at/)
      assert.deepEqual(await sallyport('reload'), { exitCode: 0, out: 'Sallyport reloaded\n', err: '' })
    } finally {
      const ended = await sallyport('quit')
      await client.close()
      assert.equal(ended.out, 'Sallyport stopped (gracefully)\n')
    }
    assert.equal((await sallyport('health')).exitCode, 1)
    assert.equal((await sallyport('quit')).exitCode, 1)
    assert.deepEqual(await readFile(join(prefix, 'pids', 'sallyport.pid')).catch(({ code }) => code), 'ENOENT')
  })
}

test('an option that does not exist is named, and the usage follows', async () => {
  const { exitCode, err } = await runProgram(process.execPath, [PROGRAM, 'stop', '--nope'])
  assert.equal(exitCode, 1)
  assert.match(err, /^Error: Unknown option '--nope'\n\nUsage: sallyport stop \[OPTIONS\]\n/)
})
