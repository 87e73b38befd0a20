import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseVaultReference, readEnvVault, VaultReferenceError } from './vault-reference.ts'

test('a reference is vault, resource, key, options and version, and must be the whole text', () => {
  assert.deepEqual(parseVaultReference('{vault://env/my-secret/user?prefix=foo_#2}'), {
    vault: 'env',
    resource: 'my-secret',
    key: 'user',
    options: { prefix: 'foo_' },
    version: 2,
  })
  for (const text of [
    'vault://env/x',
    '{vault://env}',
    '{vault://env/}',
    'a {vault://env/x}',
    '{vault://env/x} {vault://env/y}',
    '{vault:///x}',
  ]) {
    assert.equal(parseVaultReference(text), null, text)
  }
})

test('the variable is prefix and resource in upper case, - as _; options of the reference win over those of the vault', () => {
  const env = { MY_SECRET: 'a', KONG_MY_SECRET: 'b', FOO_MY_SECRET: 'c', MY_SECRET_PREVIOUS: 'd' }
  assert.equal(readEnvVault('{vault://env/my-secret}', env), 'a')
  assert.equal(readEnvVault('{vault://env/my-secret}', env, 'kong_'), 'b')
  assert.equal(readEnvVault('{vault://env/my-secret?prefix=foo_}', env, 'kong_'), 'c')
  assert.equal(readEnvVault('{vault://env/my-secret#2}', env), 'd')
})

test('a key takes one member out of a JSON object', () => {
  const env = { DB: '{"user":"u","port":5432,"tls":{"on":true}}', TEXT: 'hunter2' }
  assert.equal(readEnvVault('{vault://env/db/user}', env), 'u')
  assert.equal(readEnvVault('{vault://env/db/port}', env), '5432')
  assert.equal(readEnvVault('{vault://env/db/tls}', env), '{"on":true}')
  for (const reference of ['{vault://env/db/none}', '{vault://env/db/toString}', '{vault://env/text/user}']) {
    assert.throws(() => readEnvVault(reference, env), VaultReferenceError)
  }
})

test('an unknown vault and a missing variable are errors that show the reference and no value', () => {
  assert.throws(() => readEnvVault('{vault://aws/x}', {}), { message: 'could not find vault (aws) [{vault://aws/x}]' })
  assert.throws(() => readEnvVault('{vault://env/x}', {}), {
    message: 'unable to load value (x) from vault (env): not found [{vault://env/x}]',
  })
})
