import { closeSync, mkdirSync, openSync, write as writeFile, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** Appends lines to a file or a standard stream, gathered so that a busy gateway writes a few large pieces. */
export interface LineWriter {
  /** False: nothing that is written arrives anywhere, so that no line need be made. */
  readonly isOpen: boolean
  /** `line` ends with its newline. */
  write(line: string): void
  /** Writes what is left, at once. */
  close(): void
}

/** More than this waiting, and lines are dropped rather than memory grown: a disk that stands still must not stop the gateway. */
const MAX_WAITING_BYTES = 8_388_608
const FLUSH_MS = 50

/** `path` is a file, `/dev/stdout`, `/dev/stderr` or `off`. */
export function openLineWriter(path: string): LineWriter {
  if (path === 'off') return { isOpen: false, write() {}, close() {} }
  const fd = openTarget(path)
  let waiting: string[] = []
  let bytes = 0
  let busy = false
  let timer: NodeJS.Timeout | null = null
  const flush = (): void => {
    timer = null
    if (busy || waiting.length === 0) return
    const text = waiting.join('')
    waiting = []
    bytes = 0
    busy = true
    writeAll(fd, Buffer.from(text, 'latin1'), () => {
      busy = false
      if (waiting.length > 0) flush()
    })
  }
  return {
    isOpen: true,
    write(line) {
      if (bytes + line.length > MAX_WAITING_BYTES) return
      waiting.push(line)
      bytes += line.length
      timer ??= setTimeout(flush, FLUSH_MS).unref()
    },
    close() {
      if (timer !== null) clearTimeout(timer)
      if (waiting.length > 0) writeSync(fd, Buffer.from(waiting.join(''), 'latin1'))
      waiting = []
      if (fd > 2) closeSync(fd)
    },
  }
}

function openTarget(path: string): number {
  if (path === '/dev/stdout') return 1
  if (path === '/dev/stderr') return 2
  mkdirSync(dirname(path), { recursive: true })
  return openSync(path, 'a', 0o640)
}

function writeAll(fd: number, buffer: Buffer, done: () => void): void {
  writeFile(fd, buffer, (error, written) => {
    if (error === null && written < buffer.length) writeAll(fd, buffer.subarray(written), done)
    else done()
  })
}
