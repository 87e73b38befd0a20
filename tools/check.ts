/** `npm run check`: types, lint and format, import rows, generated files current. All at once; each failure is shown. */
import { join } from 'node:path'
import { ROOT, runQuietly } from './child.ts'

const bin = (name: string): string => join(ROOT, 'node_modules', '.bin', name)

const CHECKS: readonly (readonly [string, string, readonly string[]])[] = [
  ['types', bin('tsc'), ['-p', '.']],
  ['lint and format', bin('biome'), ['check', '--error-on-warnings', '.']],
  ['import rows', process.execPath, ['tools/imports.ts']],
  ['generated files', process.execPath, ['tools/docs.ts']],
]

const results = await Promise.all(
  CHECKS.map(async ([name, program, args]) => {
    const { code, output } = await runQuietly(program, args)
    process.stdout.write(code === 0 ? `ok    ${name}\n` : `FAIL  ${name}\n${output}\n`)
    return code
  }),
)
process.exitCode = results.every((code) => code === 0) ? 0 : 1
