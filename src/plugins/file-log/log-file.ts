/**
 * A file to which lines are appended: gathered for some milliseconds, then written in one piece at the end of the file (O_APPEND), so that several processes may
 * append to one file without mixing lines.
 *
 * A file that cannot be opened or written costs the lines at hand, not the gateway: what waits is bounded, what is lost is counted, and the failure is logged
 * when it begins and then at most once a minute.
 */
import { close, constants, open, write } from 'node:fs'
import { promisify } from 'node:util'
import type { Log } from '../../telemetry/log.ts'
import { errorText } from '../../util/errors.ts'
import { Rarely } from '../../util/rarely.ts'

/** Milliseconds for which lines are gathered: under load a write for each turn of the event loop costs more than the lines. */
const GATHERING_MS = 20
/** Bytes of lines that may wait. */
const MAX_WAITING_BYTES = 8_388_608
const REPORT_MS = 60_000
const MODE = 0o640
/** Without O_NONBLOCK, opening a pipe that nobody reads would never end. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

const STANDARD: ReadonlyMap<string, number> = new Map([
  ['/dev/stdout', 1],
  ['/dev/stderr', 2],
])

/** The calls to the system, so that tests can make them fail. Each as in node:fs/promises, on descriptors. */
export interface FileSystem {
  open(path: string, flags: number, mode: number): Promise<number>
  write(descriptor: number, bytes: Buffer): Promise<number>
  close(descriptor: number): Promise<void>
}

const openFile = promisify(open)
const closeFile = promisify(close)

const SYSTEM: FileSystem = {
  open: openFile,
  write: (descriptor, bytes) =>
    new Promise((resolve, reject) => write(descriptor, bytes, (error, written) => (error === null ? resolve(written) : reject(error)))),
  close: closeFile,
}

export interface LogFileOptions {
  readonly path: string
  /** Opened anew for each write. */
  readonly reopen: boolean
  readonly log: Log
  readonly files?: FileSystem
  /** Epoch milliseconds. */
  readonly now?: () => number
}

export class LogFile {
  readonly #options: LogFileOptions
  readonly #files: FileSystem
  readonly #reports: Rarely
  #descriptor: number | null = null
  #waiting: string[] = []
  #waitingBytes = 0
  /** The writing that is under way. */
  #writing: Promise<void> | null = null
  /** The last write ended inside of a line. */
  #torn = false
  #lost = 0

  constructor(options: LogFileOptions) {
    this.#options = options
    this.#files = options.files ?? SYSTEM
    this.#reports = new Rarely(REPORT_MS, options.now)
  }

  /** Lines lost so far. */
  get lost(): number {
    return this.#lost
  }

  /** @param line without its newline */
  append(line: string): void {
    const bytes = Buffer.byteLength(line) + 1
    if (this.#waitingBytes + bytes > MAX_WAITING_BYTES) return this.#lose(1, 'the file is too slow')
    this.#waiting.push(line)
    this.#waitingBytes += bytes
    this.#writing ??= this.#writeAll()
  }

  /** Done when all that was appended is written or lost. Never rejects. */
  async flush(): Promise<void> {
    while (this.#writing !== null) await this.#writing
  }

  /** Writes what waits, then closes. */
  async close(): Promise<void> {
    await this.flush()
    await this.#closeDescriptor()
  }

  async #writeAll(): Promise<void> {
    do {
      await new Promise((resolve) => setTimeout(resolve, GATHERING_MS))
      const lines = this.#waiting
      this.#waiting = []
      this.#waitingBytes = 0
      await this.#writeLines(lines)
    } while (this.#waiting.length > 0)
    this.#writing = null
  }

  async #writeLines(lines: readonly string[]): Promise<void> {
    try {
      this.#descriptor ??= await this.#open()
      await this.#writeBytes(this.#descriptor, Buffer.from(`${this.#torn ? '\n' : ''}${lines.join('\n')}\n`))
    } catch (error) {
      this.#lose(lines.length, errorText(error))
      await this.#closeDescriptor()
      return
    }
    if (this.#options.reopen) await this.#closeDescriptor()
  }

  async #open(): Promise<number> {
    const { path } = this.#options
    return STANDARD.get(path) ?? (await this.#files.open(path, FLAGS, MODE))
  }

  async #writeBytes(descriptor: number, bytes: Buffer): Promise<void> {
    let left = bytes
    while (left.length > 0) {
      const written = await this.#files.write(descriptor, left)
      left = left.subarray(written)
      this.#torn = left.length > 0 && bytes[bytes.length - left.length - 1] !== NEWLINE
    }
  }

  async #closeDescriptor(): Promise<void> {
    const descriptor = this.#descriptor
    this.#descriptor = null
    if (descriptor === null || descriptor <= 2) return
    await this.#files.close(descriptor).catch(() => {})
  }

  #lose(count: number, reason: string): void {
    this.#lost += count
    if (!this.#reports.due()) return
    this.#options.log.error('log entries are lost', { plugin: 'file-log', path: this.#options.path, lost: this.#lost, reason })
  }
}

const NEWLINE = 0x0a
