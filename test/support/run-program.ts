import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** A program that has not ended by then is killed. */
const TIMEOUT_MS = 60_000

/** `exitCode` is null when it was killed by a signal. */
export type ProgramResult = { readonly exitCode: number | null; readonly out: string; readonly err: string }

/** The environment without settings that happen to be set where the tests run, and without what marks a test process. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(SALLYPORT|KONG)_|^NODE_TEST_CONTEXT$/.test(name)))
}

/** Runs a program to its end, for a minute at most. @throws when there is no such program */
export async function runProgram(
  program: string,
  parameters: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<ProgramResult> {
  const child = spawn(program, parameters, { ...options, stdio: ['ignore', 'pipe', 'pipe'], timeout: TIMEOUT_MS, killSignal: 'SIGKILL' })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const [exitCode]: (number | null)[] = await once(child, 'close')
  return { exitCode: exitCode ?? null, out, err }
}
