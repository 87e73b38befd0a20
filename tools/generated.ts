import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { ROOT } from './child.ts'

/** Writes generated files; with `--check` on the command line, says which are not current and fails instead. */
export function publish(files: Readonly<Record<string, string>>): void {
  const check = process.argv.includes('--check')
  for (const [name, text] of Object.entries(files)) {
    const path = join(ROOT, name)
    if (existsSync(path) && readFileSync(path, 'utf8') === text) continue
    if (check) {
      process.stderr.write(`${relative(ROOT, path)} is not current: run \`npm run docs\`\n`)
      process.exitCode = 1
      continue
    }
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
}
