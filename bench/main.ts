/** `npm run bench`: every question, one after the other. Each is a file of this folder that runs alone as well. */
import { join } from 'node:path'
import { run } from '../tools/child.ts'

const QUESTIONS = ['cached-introspection.ts']

for (const question of QUESTIONS) {
  process.stdout.write(`\n${question}\n`)
  const code = await run(process.execPath, [join(import.meta.dirname, question)])
  if (code !== 0) process.exitCode = code
}
