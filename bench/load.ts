/** What makes the load: wrk for as much as goes through, h2load for a constant rate. Both on cores of their own where there are several. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from '../test/support/temp.ts'
import { onCores } from './processes.ts'

export interface Load {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly connections: number
  readonly seconds: number
  /** Each request brings a bearer token that was never seen before. */
  readonly newTokens?: boolean
}

/** What the clients saw. */
export interface Outcome {
  readonly requests: number
  readonly requestsPerS: number
}

const NEW_TOKENS = join(import.meta.dirname, 'new-tokens.lua')

/** What came of a load that is more than is served. */
export interface Pressure extends Outcome {
  /** Answers that were no success. */
  readonly refused: number
  /** Connections that were closed, or not opened, before the answer. */
  readonly broken: number
  /** Of the answers, good or not. */
  readonly p99Ms: number
}

/**
 * As many requests as the connections let through, each after the answer to the one before.
 *
 * @throws when an answer was no success, or a connection broke: such a run measures something else
 */
export async function flood(load: Load): Promise<Outcome> {
  const { refused, broken, ...outcome } = await press(load)
  if (refused > 0) throw new Error(`${load.url}: ${refused} answers were no success`)
  if (broken > 0) throw new Error(`${load.url}: ${broken} connections broke`)
  return outcome
}

/** The same where some are turned away: who is opens a new connection at once. */
export async function press({ url, headers = {}, connections, seconds, newTokens = false }: Load): Promise<Pressure> {
  const given = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const script = newTokens ? ['-s', NEW_TOKENS] : []
  const argument = newTokens ? ['--', randomBytes(24).toString('base64url')] : []
  const limit = ['-t1', `-c${connections}`, `-d${Math.ceil(seconds)}s`, '--timeout', '10s', '--latency']
  // wrk counts whole seconds; interrupted, it reports what it has.
  const output = await run(['wrk', ...limit, ...script, ...given, url, ...argument], Number.isInteger(seconds) ? null : seconds)
  const broken = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output)?.slice(1) ?? []
  const [, p99 = '0', unit = 'ms'] = /99%\s+([\d.]+)(us|ms|s)\b/.exec(output) ?? []
  return {
    requests: Number(/(\d+) requests in/.exec(output)?.[1] ?? 0),
    requestsPerS: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1] ?? 0),
    refused: Number(/Non-2xx or 3xx responses: (\d+)/.exec(output)?.[1] ?? 0),
    broken: broken.reduce((sum, count) => sum + Number(count), 0),
    p99Ms: Number(p99) * (unit === 's' ? 1000 : unit === 'us' ? 0.001 : 1),
  }
}

/** Milliseconds of every answer, at a constant rate over all connections together. @throws when an answer was no success */
export async function trickle({ url, headers = {}, connections, seconds }: Load, requestsPerS: number): Promise<number[]> {
  await using folder = await temporaryFolder()
  const log = join(folder.path, 'requests.tsv')
  const given = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const rate = `--rps=${(requestsPerS / connections).toFixed(1)}`
  const limit = ['--h1', '-t1', `-c${connections}`, `-D${Math.ceil(seconds)}`, '--warm-up-time=300ms', rate, `--log-file=${log}`]
  await run(['h2load', ...limit, ...given, url], null)
  // Start time, status, microseconds until the end of the answer.
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n')
  return lines.map((line) => {
    const [, status, microseconds] = line.split('\t')
    if (status !== '200') throw new Error(`${url}: an answer had status ${status}`)
    return Number(microseconds) / 1000
  })
}

/** Runs a program that makes load and gives what it printed. @param interruptAfterS seconds until it is asked to come to its end */
function run(command: readonly string[], interruptAfterS: number | null): Promise<string> {
  const [program = '', ...args] = onCores('load', command)
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const timer = interruptAfterS === null ? undefined : setTimeout(() => child.kill('SIGINT'), interruptAfterS * 1000)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk
    })
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      if (code === 0) resolve(output)
      else reject(new Error(`${command[0]} ended with ${code}\n${output}`))
    })
  })
}
