import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const BIN = fileURLToPath(new URL('../../bin/sallyport.js', import.meta.url))
const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))
const PACKAGE = new URL('../../package.json', import.meta.url)
const ADVICE = '\n\n  Run with --v (verbose) or --vv (debug) for more details\n'

let folder = ''
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-cli-'))
})
after(() => rmSync(folder, { recursive: true, force: true }))

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function run(args: readonly string[], env: Record<string, string> = {}, script = MAIN): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Ended>()
  execFile(process.execPath, [script, ...args], { cwd: folder, env }, (error, stdout, stderr) => {
    resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
  })
  return promise
}

function write(name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

test("version prints the package's version; -a adds what it speaks and runs on", async () => {
  const { version } = JSON.parse(readFileSync(PACKAGE, 'utf8'))
  assert.deepEqual(await run(['version']), { code: 0, stdout: `${version}\n`, stderr: '' })
  const all = await run(['version', '-a'])
  assert.equal(all.code, 0)
  assert.match(all.stdout, new RegExp(`^Sallyport: ${version}\nKong \\(compatible with\\): 3\\.9\\.1\nNode\\.js: \\d`))
})

test('the program of the package runs the same commands', async () => {
  const { version } = JSON.parse(readFileSync(PACKAGE, 'utf8'))
  assert.deepEqual(await run(['version'], {}, BIN), { code: 0, stdout: `${version}\n`, stderr: '' })
})

test('an older Node.js is told in one sentence what is missing', async () => {
  const old = join(folder, 'old.cjs')
  writeFileSync(old, "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.1.0' } })\n")
  const { promise, resolve } = Promise.withResolvers<Ended>()
  execFile(process.execPath, ['--require', old, BIN, 'version'], (error, stdout, stderr) => {
    resolve({ code: Number(error?.code ?? 0), stdout, stderr })
  })
  assert.deepEqual(await promise, { code: 1, stdout: '', stderr: 'Sallyport needs Node.js 24 or newer, and this is Node.js 20.1.0.\n' })
})

test('help goes to stdout with exit code 0, for the program and for each command', async () => {
  const help = await run(['--help'])
  assert.equal(help.code, 0)
  assert.equal(help.stderr, '')
  for (const name of ['start', 'stop', 'quit', 'reload', 'check', 'config', 'version', 'health']) {
    assert.match(help.stdout, new RegExp(`^  ${name} `, 'm'))
  }
  const own = await run(['start', '--help'])
  assert.match(own.stdout, /^Usage: sallyport start /)
  assert.equal(own.code, 0)
})

test('no command, an unknown command and an unknown sub-command print the usage on stderr and exit with 1', async () => {
  const none = await run([])
  assert.equal(none.code, 1)
  assert.equal(none.stdout, '')
  assert.match(none.stderr, /^Usage: sallyport COMMAND/)
  const unknown = await run(['foobar'])
  assert.equal(unknown.code, 1)
  assert.match(unknown.stderr, /^No such command: foobar\n\nUsage: /)
  const inherited = await run(['toString'])
  assert.match(inherited.stderr, /^No such command: toString\n/)
  const sub = await run(['config', 'foobar'])
  assert.equal(sub.code, 1)
  assert.match(sub.stderr, /^No such command for config: foobar\n\nUsage: sallyport config/)
  const option = await run(['stop', '--nope'])
  assert.equal(option.code, 1)
  assert.match(option.stderr, /^Error: .*--nope/)
})

test('check says that a conf file is valid, and names what has no effect in one warning', async () => {
  const file = write('valid.conf', 'log_level = info\npg_host = db\nmem_cache_size = 1m\n')
  assert.deepEqual(await run(['check', file]), {
    code: 0,
    stdout: `configuration at ${file} is valid\n`,
    stderr: 'Warning: settings without effect: mem_cache_size, pg_host\n',
  })
})

test('check prints every error of a conf file on stderr and exits with 1', async () => {
  const file = write('invalid.conf', 'log_level = loud\ndatabase = postgres\n')
  assert.deepEqual(await run(['check', file]), {
    code: 1,
    stdout: '',
    stderr:
      "log_level has an invalid value: 'loud' (debug, info, notice, warn, error, crit, alert, emerg)\n" +
      'database = postgres is not available yet; use sqlite or off\n',
  })
  assert.deepEqual(await run(['check', '/nowhere.conf']), { code: 1, stdout: '', stderr: 'no file at: /nowhere.conf\n' })
})

test('start with settings that cannot be used exits with 1 and says why on stderr, in the background and in the foreground', async () => {
  for (const daemon of ['on', 'off']) {
    const env = { KONG_ADMIN_LISTEN: '0.0.0.0:8001', KONG_KEEPALIVE_REQUESTS: 'many', SALLYPORT_NGINX_DAEMON: daemon }
    const ended = await run(['start', '-p', join(folder, 'never')], env)
    assert.equal(ended.code, 1)
    assert.equal(ended.stdout, '')
    assert.match(ended.stderr, /^Error: keepalive_requests is not a number: 'many'\nadmin_listen: .*admin_token/)
    assert.ok(ended.stderr.endsWith(ADVICE))
  }
  const missing = await run(['start', '-c', 'missing.conf'])
  assert.deepEqual(missing, { code: 1, stdout: '', stderr: `Error: no file at: missing.conf${ADVICE}` })
})

test('config init writes an example once and never overwrites', async () => {
  assert.deepEqual(await run(['config', 'init', 'example.yml']), { code: 0, stdout: '', stderr: '' })
  assert.match(readFileSync(join(folder, 'example.yml'), 'utf8'), /^_format_version: "3\.0"$/m)
  const again = await run(['config', 'init', 'example.yml'])
  assert.equal(again.code, 1)
  assert.equal(again.stderr, `Error: example.yml already exists.\nWill not overwrite it.${ADVICE}`)
})

test('commands for a running process say what is missing: the prefix, or the process', async () => {
  const none = join(folder, 'none')
  const empty = join(folder, 'empty')
  mkdirSync(empty)
  for (const command of ['stop', 'quit', 'reload', 'health']) {
    const ended = await run([command, '-p', none])
    assert.equal(ended.code, 1, command)
    assert.equal(ended.stderr, `Error: no such prefix: ${none}${ADVICE}`)
  }
  for (const command of ['stop', 'quit', 'reload']) {
    const ended = await run([command, '-p', empty])
    assert.equal(ended.code, 1, command)
    assert.equal(ended.stderr, `Error: Sallyport not running in prefix: ${empty}${ADVICE}`)
  }
  const health = await run(['health'], { KONG_PREFIX: empty })
  assert.equal(health.code, 1)
  assert.equal(health.stdout, 'sallyport.....not running\n\n')
  assert.equal(health.stderr, `Error: Sallyport is not running at ${empty}${ADVICE}`)
})

test('a pid file whose process is gone, or is another one by now, counts as not running', async () => {
  const prefix = join(folder, 'stale')
  mkdirSync(join(prefix, 'pids'), { recursive: true })
  mkdirSync(join(prefix, 'run'))
  writeFileSync(join(prefix, 'pids', 'sallyport.pid'), '2147483646\n')
  assert.equal((await run(['stop', '-p', prefix])).code, 1)
  // This very process did not begin when the state says.
  writeFileSync(join(prefix, 'pids', 'sallyport.pid'), `${process.pid}\n`)
  writeFileSync(join(prefix, 'run', 'state.json'), JSON.stringify({ pid: process.pid, began: 'long ago', addresses: null }))
  const expected = process.platform === 'linux' ? 'not running' : 'running'
  assert.equal((await run(['health', '-p', prefix])).stdout, `sallyport.....${expected}\n\n`)
})

test('prepare makes the data directory and says nothing', async () => {
  const prefix = join(folder, 'prepared')
  assert.deepEqual(await run(['prepare', '-p', prefix]), { code: 0, stdout: '', stderr: '' })
  assert.equal((await run(['health', '-p', prefix])).stderr, `Error: Sallyport is not running at ${prefix}${ADVICE}`)
})

test('migrations answer as for a database that is up to date', async () => {
  assert.deepEqual(await run(['migrations', 'bootstrap']), { code: 0, stdout: 'Database already bootstrapped\n', stderr: '' })
  assert.deepEqual(await run(['migrations', 'up', '-q']), { code: 0, stdout: '', stderr: '' })
  assert.equal(JSON.parse((await run(['migrations', 'status'])).stdout).needs_bootstrap, false)
  assert.equal((await run(['migrations', 'reset', '-y'])).code, 1)
  assert.equal((await run(['migrations', 'bootstrap'], { KONG_DATABASE: 'postgres' })).code, 1)
})

test('vault get prints what a reference refers to, in its full and its short form', async () => {
  assert.deepEqual(await run(['vault', 'get', 'env/my-key'], { MY_KEY: 'v' }), { code: 0, stdout: 'v\n', stderr: '' })
  assert.equal((await run(['vault', 'get', '{vault://env/my-key}'], { MY_KEY: 'v' })).stdout, 'v\n')
  const none = await run(['vault', 'get', 'env/none'])
  assert.equal(none.code, 1)
  assert.match(none.stderr, /^Error: unable to load value \(none\) from vault \(env\): not found/)
})

test('hybrid is refused, and drain never fails a script', async () => {
  assert.equal((await run(['hybrid', 'gen_cert'])).code, 1)
  const drain = await run(['drain', '-p', join(folder, 'none')])
  assert.equal(drain.code, 0)
  assert.match(drain.stderr, /no such prefix/)
})
