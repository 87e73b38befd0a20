/**
 * Our HTTP/1.1 codec against llhttp on generated connections.
 *
 *     node test/fuzz/h1.ts --seconds 600 --seed 1 [--keep]
 *
 * Prints each difference that would matter (see h1-oracle.ts) as a JSON string of bytes, and ends with 1 if there was one. `--keep` adds connections with a
 * pair of outcomes that was not seen before to the corpus.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cut, generateRequests, generateResponses, Random } from './h1-generator.ts'
import {
  compareRequests,
  compareResponses,
  llhttpRequests,
  llhttpResponses,
  type Reading,
  readRequests,
  readResponses,
} from './h1-oracle.ts'

export type Kind = 'request' | 'response'

/** One connection that is worth keeping. */
export interface Case {
  readonly kind: Kind
  /** Of the request that a response answers. */
  readonly method: string
  /** Byte string. */
  readonly bytes: string
}

export interface Verdict {
  readonly difference: string | undefined
  /** Both outcomes in short: what tells interesting connections apart. */
  readonly signature: string
}

/** Connections that once told the two readers apart, or our refusals from each other: a JSON object a line. */
export const CORPUS = join(import.meta.dirname, 'corpus', 'h1.jsonl')

/** Longest connection that is added to it. */
const KEPT_BYTES = 300

/** Reads the corpus. */
export function readCorpus(): Case[] {
  if (!existsSync(CORPUS)) return []
  return readFileSync(CORPUS, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

/** Reads a connection both ways. */
export async function judge({ kind, method }: Omit<Case, 'bytes'>, pieces: readonly Buffer[]): Promise<Verdict> {
  const ours = kind === 'request' ? readRequests(pieces) : readResponses(pieces, method)
  const theirs = await (kind === 'request' ? llhttpRequests(pieces) : llhttpResponses(pieces, method))
  const difference = kind === 'request' ? compareRequests(ours, theirs) : compareResponses(ours, theirs)
  return { difference, signature: `${kind} ${describe(ours)} / ${describe(theirs)}` }
}

function describe({ messages, outcome }: Reading): string {
  const last = messages.at(-1)
  return `${last === undefined ? 'no head' : last.complete ? 'whole' : 'head'}, ${outcome}`
}

/** The connection of a number: the same for the same seed. */
export function generate(seed: number, number: number): { readonly one: Case; readonly pieces: Buffer[] } {
  const random = new Random(Math.imul(seed, 0x01000193) ^ Math.imul(number, 0x9e3779b1))
  const kind: Kind = random.chance(60) ? 'request' : 'response'
  const method = kind === 'request' ? '' : random.pick(['GET', 'GET', 'GET', 'POST', 'HEAD'])
  const bytes = kind === 'request' ? generateRequests(random) : generateResponses(random)
  return { one: { kind, method, bytes }, pieces: cut(random, bytes) }
}

function asciiJson(value: object): string {
  return JSON.stringify(value).replace(/[^ -~]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** What a run has seen. */
class Findings {
  readonly signatures = new Map<string, number>()
  readonly differences = new Set<string>()

  /** Judges a connection and prints a difference of a kind that was not seen before. Answers whether its pair of outcomes is new. */
  async take(one: Case, pieces: readonly Buffer[], origin: string): Promise<boolean> {
    const { difference, signature } = await judge(one, pieces)
    const seen = this.signatures.get(signature) ?? 0
    this.signatures.set(signature, seen + 1)
    const kind = difference?.replace(/"(?:[^"\\]|\\.)*"|\[.*?\]/g, '…')
    if (kind !== undefined && !this.differences.has(kind)) {
      this.differences.add(kind)
      process.stdout.write(`${difference}\n  ${JSON.stringify(one)}\n  in ${pieces.length} pieces, ${origin}\n`)
    }
    return seen === 0
  }

  /** The most frequent pairs of outcomes, the rare ones being for the corpus. */
  print(executions: number): void {
    process.stdout.write(
      `${executions} connections, ${this.signatures.size} pairs of outcomes, ${this.differences.size} kinds of difference\n`,
    )
    const frequent = [...this.signatures].sort((a, b) => b[1] - a[1]).slice(0, 40)
    for (const [signature, count] of frequent) process.stdout.write(`${String(count).padStart(9)}  ${signature}\n`)
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: '1' },
      keep: { type: 'boolean', default: false },
    },
  })
  const seed = Number(values.seed)
  const endMs = performance.now() + Number(values.seconds) * 1000
  const findings = new Findings()
  for (const one of readCorpus()) await findings.take(one, [Buffer.from(one.bytes, 'latin1')], 'corpus')
  let executions = 0
  for (; performance.now() < endMs; executions++) {
    const { one, pieces } = generate(seed, executions)
    const isNew = await findings.take(one, pieces, `seed ${seed}, number ${executions}`)
    if (values.keep && isNew && one.bytes.length < KEPT_BYTES) appendFileSync(CORPUS, `${asciiJson(one)}\n`)
  }
  findings.print(executions)
  process.exitCode = findings.differences.size === 0 ? 0 : 1
}

if (import.meta.main) await main()
