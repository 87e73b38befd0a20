import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { CommandError } from './command.ts'
import { logsFolder } from './process-files.ts'

/** What the detached process tells the one that started it. */
export type DaemonMessage = { readonly type: 'ready' } | { readonly type: 'failed'; readonly reason: string }

/** The most that is shown of what a detached process wrote before it failed. */
const MAX_RELAYED_BYTES = 16 * 1024

/**
 * Starts this program once more, detached, and waits until it serves. What it prints goes to `logs/stdout.log` and `logs/stderr.log`.
 *
 * @param args command line of the new process, command first
 * @throws {CommandError} it failed; the message is its reason
 */
export async function startDaemon(prefix: string, args: readonly string[]): Promise<void> {
  const out = openSync(join(logsFolder(prefix), 'stdout.log'), 'a')
  const errFile = join(logsFolder(prefix), 'stderr.log')
  const err = openSync(errFile, 'a+')
  try {
    const before = fstatSync(err).size
    const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', ...args], {
      detached: true,
      stdio: ['ignore', out, err, 'ipc'],
    })
    const outcome = await firstNews(child)
    if (outcome.type === 'failed') throw new CommandError(outcome.reason === '' ? relay(err, before, errFile) : outcome.reason)
    child.disconnect()
    child.unref()
  } finally {
    closeSync(out)
    closeSync(err)
  }
}

/** Tells the process that started this one, if it waits for news, and lets it go. */
export async function tellStarter(message: DaemonMessage): Promise<void> {
  if (process.send === undefined || !process.connected) return
  const { promise, resolve } = Promise.withResolvers<void>()
  // The starter may have gone in the meantime (the callback's error); then there is nobody to tell.
  process.send(message, undefined, undefined, () => resolve())
  await promise
  if (process.connected) process.disconnect?.()
}

function firstNews(child: ChildProcess): Promise<DaemonMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<DaemonMessage>()
  child.once('message', (message: unknown) => resolve(readMessage(message)))
  child.once('exit', () => resolve({ type: 'failed', reason: '' }))
  child.once('error', reject)
  return promise
}

function readMessage(message: unknown): DaemonMessage {
  if (typeof message === 'object' && message !== null && 'type' in message) {
    if (message.type === 'ready') return { type: 'ready' }
    if (message.type === 'failed' && 'reason' in message && typeof message.reason === 'string')
      return { type: 'failed', reason: message.reason }
  }
  return { type: 'failed', reason: 'the new process sent something unexpected' }
}

function relay(file: number, from: number, name: string): string {
  const length = Math.min(fstatSync(file).size - from, MAX_RELAYED_BYTES)
  const bytes = Buffer.alloc(Math.max(length, 0))
  const read = readSync(file, bytes, 0, bytes.length, from)
  const text = bytes.subarray(0, read).toString('utf8').trim()
  return text === '' ? `the new process ended without a reason, see ${name}` : text
}
