import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryFolder } from '../test/support/temp.ts'

/** Runs the tool where only these programs are on the PATH, each a shell script, and nothing is in the cache. */
async function run(folder: string, programs: Record<string, string>): Promise<{ exitCode: number; stderr: string; cached: string[] }> {
  const bin = join(folder, 'bin')
  const cache = join(folder, 'cache')
  await mkdir(bin)
  for (const [name, script] of Object.entries(programs)) {
    await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`)
    await chmod(join(bin, name), 0o755)
  }
  const { JAVA_HOME: _, ...env } = process.env
  const child = spawn(process.execPath, [join(import.meta.dirname, 'keycloak.ts'), '--prepare'], {
    env: { ...env, PATH: bin, XDG_CACHE_HOME: cache },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const [exitCode] = await once(child, 'close')
  return { exitCode, stderr, cached: await readdir(join(cache, 'sallyport')).catch(() => []) }
}

test('a program that is missing is named in one line, with the package that has it', async () => {
  for (const [programs, message] of [
    [{}, /^MissingProgramError: Keycloak needs Java 17 or newer: `java` is missing \(Debian: .*\)\.\n$/],
    [{ java: 'exit 0' }, /^MissingProgramError: Maven fetches Keycloak: `mvn` is missing \(Debian: .*\)\.\n$/],
    [{ java: 'exit 0', mvn: 'exit 0' }, /^MissingProgramError: Keycloak comes packed: `unzip` is missing \(Debian: .*\)\.\n$/],
  ] as const) {
    await using folder = await temporaryFolder()
    const { exitCode, stderr } = await run(folder.path, programs)
    assert.equal(exitCode, 1)
    assert.match(stderr, message)
  }
})

test('a download that fails shows what Maven said and leaves nothing in the cache', async () => {
  await using folder = await temporaryFolder()
  const mvn = '[ "$1" = --version ] && exit 0; echo "no such artifact"; exit 1'
  const { exitCode, stderr, cached } = await run(folder.path, { java: 'exit 0', unzip: 'exit 0', mvn })
  assert.equal(exitCode, 1)
  assert.match(stderr, /no such artifact/)
  assert.deepEqual(cached, [])
})
