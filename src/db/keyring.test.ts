import assert from 'node:assert/strict'
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { openSqlite, temporaryFolder } from './fixtures.cases.ts'
import { KeyringError, loadKeyring } from './keyring.ts'

async function keyFile(context: test.TestContext): Promise<string> {
  return join(await temporaryFolder(context), 'keys', 'keyring.json')
}

test('the key file is made once, for the owner only, and read from then on', async (context) => {
  const file = await keyFile(context)
  const first = await loadKeyring(file, [])
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  const second = await loadKeyring(file, [first.check()])
  assert.equal(second.open(first.seal('text', 'x'), 'x'), 'text')
})

test('two that start at once agree on the keys', async (context) => {
  const file = await keyFile(context)
  const keyrings = await Promise.all([1, 2, 3, 4].map(() => loadKeyring(file, [])))
  const sealed = keyrings[0]?.seal('text', 'x') ?? ''
  for (const keyring of keyrings) assert.equal(keyring.open(sealed, 'x'), 'text')
})

test('a sealed text never shows the text, differs each time, and opens only where it belongs', async (context) => {
  const keyring = await loadKeyring(await keyFile(context), [])
  const sealed = keyring.seal('hush', 'plugins 1')
  assert.match(sealed, /^\$enc:v1:[0-9a-f]{8}:[A-Za-z0-9_-]+$/)
  assert.notEqual(sealed, keyring.seal('hush', 'plugins 1'))
  assert.throws(() => keyring.open(sealed, 'plugins 2'), KeyringError)
  for (const text of ['', 'plain', '$enc:v1:x', '{vault://env/a}', '€\u0000'])
    assert.equal(keyring.open(keyring.seal(text, 'x'), 'x'), text)
  assert.equal(keyring.open('plain', 'x'), 'plain')
})

test('a damaged sealed text is refused without showing it', async (context) => {
  const keyring = await loadKeyring(await keyFile(context), [])
  const sealed = keyring.seal('hush', 'plugins 1')
  const turned = sealed.at(-3) === 'A' ? 'B' : 'A'
  for (const bad of [`${sealed.slice(0, -3)}${turned}${sealed.slice(-2)}`, sealed.slice(0, 30), '$enc:v1:nokey:AAAA', '$enc:v1:']) {
    assert.throws(
      () => keyring.open(bad, 'plugins 1'),
      (error: Error) =>
        error instanceof KeyringError && !error.message.includes(sealed.slice(20, 30)) && /keyring\.json/.test(error.message),
    )
  }
})

test('an older key still opens what it sealed after a rotation', async (context) => {
  const file = await keyFile(context)
  const old = await loadKeyring(file, [])
  const content = JSON.parse(await readFile(file, 'utf8')) as { keys: Record<string, string>; primary: string }
  await writeFile(
    file,
    JSON.stringify({ version: 1, primary: 'new', keys: { ...content.keys, new: Buffer.alloc(32, 7).toString('base64url') } }),
  )
  const rotated = await loadKeyring(file, [old.check()])
  assert.equal(rotated.open(old.seal('hush', 'x'), 'x'), 'hush')
  assert.match(rotated.seal('hush', 'x'), /^\$enc:v1:new:/)
})

test('a missing, foreign or damaged key file stops the start with its name, and nothing is lost', async (context) => {
  const folder = await temporaryFolder(context)
  const file = join(folder, 'keyring.json')
  const first = await openSqlite(context, folder)
  const plugin = await first.entities.plugins.insert({ name: 'sample', config: { secret: 'hush' } })
  await first.close()
  const keys = await readFile(file, 'utf8')
  const refused = async (words: RegExp) => {
    await assert.rejects(openSqlite(context, folder), (error: Error) => {
      assert.ok(error instanceof KeyringError)
      assert.ok(error.message.includes(file), error.message)
      assert.match(error.message, words)
      return true
    })
  }

  await rm(file)
  await refused(/is missing, but stored secrets are encrypted with its key/)
  await assert.rejects(stat(file), { code: 'ENOENT' })

  await loadKeyring(file, [])
  await refused(/lacks the key/)

  await writeFile(file, keys.replace(/"([A-Za-z0-9_-]{43})"/, `"${Buffer.alloc(32, 1).toString('base64url')}"`))
  await refused(/is not the one that it was encrypted with/)

  for (const bad of [
    '',
    '{',
    '[]',
    '{"version":2}',
    '{"version":1}',
    '{"version":1,"primary":"a","keys":{"a":"short"}}',
    '{"version":1,"primary":"b","keys":{}}',
  ]) {
    await writeFile(file, bad)
    await refused(/damaged|unknown version/)
    assert.equal(await readFile(file, 'utf8'), bad)
  }

  await writeFile(file, keys)
  const second = await openSqlite(context, folder)
  assert.deepEqual(await second.entities.plugins.all(), [plugin])
})
