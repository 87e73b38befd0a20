/** `sallyport config` works on files and on the database of a gateway that does not run. */
import assert from 'node:assert/strict'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { selfSigned } from '../support/certificates.ts'
import { cleanEnvironment, runProgram } from '../support/run-program.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/temp.ts'

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'sallyport.js')
const DECK = `_format_version: "3.0"
services:
- name: orders
  url: http://127.0.0.1:9/
  plugins:
  - name: oauth2-introspection
    config:
      introspection_url: http://127.0.0.1:9/introspect
      authorization_value: Basic czNjcmV0
`

async function config({ path }: TemporaryFolder, parameters: string[], settings: Record<string, string> = {}) {
  await writeFile(join(path, 'deck.yml'), DECK)
  const env = { ...cleanEnvironment(), SALLYPORT_PREFIX: join(path, 'prefix'), ...settings }
  return runProgram(process.execPath, [PROGRAM, 'config', ...parameters], { cwd: path, env })
}

test('config parse and db_import refuse what start would refuse: a plugin that the setting plugins leaves out', async () => {
  await using folder = await temporaryFolder()
  for (const command of ['parse', 'db_import']) {
    const { exitCode, err } = await config(folder, [command, 'deck.yml'], { SALLYPORT_PLUGINS: 'request-termination' })
    assert.equal(exitCode, 1, command)
    assert.match(err, /plugin 'oauth2-introspection' not enabled/, command)
    assert.equal((await config(folder, [command, 'deck.yml'])).exitCode, 0, command)
  }
})

test('what db_export writes can be read by its owner alone, and holds what was imported', async () => {
  await using folder = await temporaryFolder()
  assert.equal((await config(folder, ['db_import', 'deck.yml'])).exitCode, 0)
  const { exitCode, err } = await config(folder, ['db_export', 'out.yml'])
  assert.equal(exitCode, 0, err)
  const file = join(folder.path, 'out.yml')
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  assert.match(await readFile(file, 'utf8'), /authorization_value: Basic czNjcmV0/)
})

test('db_import deletes nothing: the SNIs of a certificate that a file names without them stay', async () => {
  await using folder = await temporaryFolder()
  const { cert, key } = selfSigned({ name: 'a' })
  const file = async (snis: object) => {
    const certificates = [{ id: 'b32379d9-3d28-5683-a79c-72139be6e34f', cert, key, ...snis }]
    await writeFile(join(folder.path, 'certificates.json'), JSON.stringify({ _format_version: '3.0', certificates }))
    return await config(folder, ['db_import', 'certificates.json'])
  }
  for (const snis of [{ snis: ['a.test'] }, {}, { snis: ['b.test'] }]) {
    const { exitCode, err } = await file(snis)
    assert.equal(exitCode, 0, err)
  }
  assert.equal((await config(folder, ['db_export', 'out.yml'])).exitCode, 0)
  const exported = await readFile(join(folder.path, 'out.yml'), 'utf8')
  assert.match(exported, /name: a\.test/)
  assert.match(exported, /name: b\.test/)
  assert.match(exported, /BEGIN PRIVATE KEY/)
  assert.equal((await config(folder, ['db_import', 'out.yml'])).exitCode, 0)
})
