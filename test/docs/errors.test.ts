import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'

const ROOT = join(import.meta.dirname, '..', '..')

test('docs/errors.md has a heading for every code of the sources, and for no other', () => {
  const sources = globSync('src/**/*.ts', { cwd: ROOT }).filter((file) => !/\.(test|cases|fixture)\.ts$/.test(file))
  const codes = new Set(sources.flatMap((file) => readFileSync(join(ROOT, file), 'utf8').match(/(?<=')GW_[A-Z_]+(?=')/g) ?? []))
  const headings = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8').match(/(?<=^## )GW_\w+$/gm) ?? []
  assert.deepEqual(headings, [...codes].sort())
})
