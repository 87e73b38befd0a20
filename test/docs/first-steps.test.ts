/** The commands that a person types first, in the order of the documentation. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { createHttpClient } from '../support/http-client.ts'
import { temporaryFolder } from '../support/temp.ts'

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'sallyport.js')
const LISTEN = { SALLYPORT_PROXY_LISTEN: '127.0.0.1:0', SALLYPORT_ADMIN_LISTEN: '127.0.0.1:0', SALLYPORT_STATUS_LISTEN: 'off' }

for (const how of ['with -p', 'in the folder itself'] as const) {
  test(`${how}: start in the background says where it listens; health, reload and quit find it`, async () => {
    await using folder = await temporaryFolder()
    const prefix = join(folder.path, 'sallyport-data')
    const inherited = Object.entries(process.env).filter(([name]) => !/^(SALLYPORT|KONG)_/.test(name))
    const env = { ...Object.fromEntries(inherited), ...LISTEN, SALLYPORT_NGINX_WORKER_PROCESSES: '1' }
    const sallyport = async (command: string): Promise<{ code: number | null; out: string; err: string }> => {
      const args = [PROGRAM, command, ...(how === 'with -p' ? ['-p', prefix] : [])]
      const child = spawn(process.execPath, args, { cwd: folder.path, env, stdio: ['ignore', 'pipe', 'pipe'] })
      let out = ''
      let err = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
      child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
      const [code]: (number | null)[] = await once(child, 'close')
      return { code: code ?? null, out, err }
    }
    const client = createHttpClient()
    try {
      const started = await sallyport('start')
      assert.equal(started.code, 0, started.err)
      const [, proxy, admin] = /^Sallyport started\n {2}proxy (\S+), Admin API (\S+), data in \S+\n$/.exec(started.out) ?? []
      assert.equal((await client.get(`http://${proxy}/`)).status, 404)
      assert.equal((await client.get(`http://${admin}/services`)).status, 200)

      const again = await sallyport('start')
      assert.equal(again.code, 1)
      assert.match(again.err, /^Error: Sallyport is already running in \S+sallyport-data$/m)
      assert.match((await sallyport('health')).out, /is healthy at/)
      assert.deepEqual(await sallyport('reload'), { code: 0, out: 'Sallyport reloaded\n', err: '' })
    } finally {
      const ended = await sallyport('quit')
      await client.close()
      assert.equal(ended.out, 'Sallyport stopped (gracefully)\n')
    }
    assert.equal((await sallyport('health')).code, 1)
    assert.equal((await sallyport('quit')).code, 1)
    assert.deepEqual(await readFile(join(prefix, 'pids', 'sallyport.pid')).catch(({ code }) => code), 'ENOENT')
  })
}

test('an option that does not exist is named, and the usage follows', async () => {
  const child = spawn(process.execPath, [PROGRAM, 'stop', '--nope'], { stdio: ['ignore', 'ignore', 'pipe'] })
  let err = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const [code]: number[] = await once(child, 'close')
  assert.equal(code, 1)
  assert.match(err, /^Error: Unknown option '--nope'\n\nUsage: sallyport stop \[OPTIONS\]\n/)
})
