import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ROOT } from './child.ts'

/**
 * Writes generated files, by name from the folder of the repository; null removes one. To check is to say which are not current, and to fail, instead.
 *
 * @param check default: `--check` stands on the command line
 */
export function publish(files: Readonly<Record<string, string | null>>, check = process.argv.includes('--check')): void {
  for (const [name, text] of Object.entries(files)) {
    const path = join(ROOT, name)
    if ((existsSync(path) ? readFileSync(path, 'utf8') : null) === text) continue
    if (check) {
      process.stderr.write(`${name} is not current: run \`npm run docs\`\n`)
      process.exitCode = 1
    } else if (text === null) rmSync(path)
    else {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text)
    }
  }
}
