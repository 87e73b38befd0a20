/** Generated files: checks that they are current; with `--write`, writes them. */
import { run } from './child.ts'

const write = process.argv.includes('--write')
const generators = [
  ['tools/plugin-docs.ts', ...(write ? [] : ['--check'])],
  ['tools/settings-docs.ts', ...(write ? [] : ['--check'])],
  ...(write ? [['tools/imports.ts', '--write']] : []),
]
let failed = 0
for (const args of generators) failed += (await run(process.execPath, args)) === 0 ? 0 : 1
process.exitCode = failed === 0 ? 0 : 1
