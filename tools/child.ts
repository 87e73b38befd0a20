import { spawn } from 'node:child_process'
import { join } from 'node:path'

/** Folder of the repository. */
export const ROOT = join(import.meta.dirname, '..')

/**
 * Runs a program with the repository as its folder, its output shown; answers the exit code, 1 where a signal ended it.
 *
 * @param options.timeout milliseconds until it is sent SIGTERM
 */
export function run(program: string, args: readonly string[], options: { readonly timeout?: number } = {}): Promise<number> {
  const child = spawn(program, args, { ...options, cwd: ROOT, stdio: 'inherit' })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

/** Runs a program quietly; its output is shown only when it fails. */
export function runQuietly(program: string, args: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
  const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk
  })
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code: code ?? 1, output }))
  })
}
