import assert from 'node:assert/strict'
import { readFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { recordingLog } from '../../../test/support/fake-context.ts'
import { temporaryFolder } from '../../../test/support/temp.ts'
import { type FileSystem, LogFile } from './log-file.ts'

const { log } = recordingLog()

/** A file that takes what `take` says of each piece. */
function fakeFiles(
  take: (bytes: Buffer) => number | Promise<number>,
): FileSystem & { readonly text: () => string; readonly opened: () => number } {
  let text = ''
  let opened = 0
  return {
    text: () => text,
    opened: () => opened,
    async open() {
      opened++
      return 7
    },
    async write(_descriptor, bytes) {
      const written = await take(bytes)
      text += bytes.subarray(0, written).toString()
      return written
    },
    async close() {},
  }
}

test('lines are appended to what is there; a file is made for its owner and group alone', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'a.log')
  for (const line of ['one', 'two']) {
    const file = new LogFile({ path, reopen: false, log })
    file.append(line)
    await file.close()
  }
  assert.equal(await readFile(path, 'utf8'), 'one\ntwo\n')
  assert.equal((await stat(path)).mode & 0o777 & ~0o640, 0)
})

test('lines of one turn go out in one write', async () => {
  const pieces: string[] = []
  const files = fakeFiles((bytes) => {
    pieces.push(bytes.toString())
    return bytes.length
  })
  const file = new LogFile({ path: 'x', reopen: false, log, files })
  file.append('a')
  file.append('b')
  await file.flush()
  file.append('c')
  await file.flush()
  assert.deepEqual(pieces, ['a\nb\n', 'c\n'])
})

test('a file that was rotated away is left with reopen, and written on without', async () => {
  for (const reopen of [true, false]) {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'a.log')
    const file = new LogFile({ path, reopen, log })
    file.append('before')
    await file.flush()
    await rename(path, `${path}.1`)
    file.append('after')
    await file.close()
    assert.equal(await readFile(`${path}.1`, 'utf8'), reopen ? 'before\n' : 'before\nafter\n')
    assert.equal(await readFile(path, 'utf8').catch(() => null), reopen ? 'after\n' : null)
  }
})

test('several writers never mix their lines', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'a.log')
  const writers = Array.from({ length: 4 }, () => new LogFile({ path, reopen: false, log }))
  for (let i = 0; i < 200; i++) for (const [n, writer] of writers.entries()) writer.append(String(n).repeat(500))
  await Promise.all(writers.map((writer) => writer.close()))
  const lines = (await readFile(path, 'utf8')).split('\n')
  assert.equal(lines.pop(), '')
  assert.equal(lines.length, 800)
  assert.ok(lines.every((line) => /^(\d)\1{499}$/.test(line)))
})

test('what is written in part is written on; after a line that tore, the next begins on its own', async () => {
  const steps = [2, 4, 'full', 100] as const
  let step = 0
  const files = fakeFiles((bytes) => {
    const next = steps[step++]
    if (next === 'full' || next === undefined) throw new Error('ENOSPC')
    return Math.min(next, bytes.length)
  })
  const file = new LogFile({ path: 'x', reopen: false, log, files })
  file.append('0123456789')
  await file.flush()
  file.append('next')
  await file.flush()
  assert.equal(files.text(), '012345\nnext\n')
  assert.equal(file.lost, 1)
})

test('a file that cannot be opened costs lines and one log entry a minute, and is tried again', async () => {
  const recorded = recordingLog()
  let nowMs = 0
  let broken = true
  const files: FileSystem = { ...fakeFiles((bytes) => bytes.length) }
  const file = new LogFile({
    path: '/nowhere/x',
    reopen: false,
    log: recorded.log,
    now: () => nowMs,
    files: {
      ...files,
      async open(path, flags, mode) {
        if (broken) throw new Error('EACCES')
        return files.open(path, flags, mode)
      },
    },
  })
  for (let i = 0; i < 50; i++) {
    file.append('x')
    await file.flush()
  }
  nowMs = 60_000
  file.append('x')
  await file.flush()
  assert.deepEqual(
    recorded.lines.map(({ message, members }) => [message, members['lost'], members['reason']]),
    [
      ['log entries are lost', 1, 'EACCES'],
      ['log entries are lost', 51, 'EACCES'],
    ],
  )
  broken = false
  file.append('x')
  await file.flush()
  assert.equal(file.lost, 51)
})

test('a disk that stands still costs lines, not memory', async () => {
  const stuck = Promise.withResolvers<number>()
  const files = fakeFiles(() => stuck.promise)
  const file = new LogFile({ path: 'x', reopen: false, log, files })
  file.append('first')
  const line = 'x'.repeat(99_999)
  for (let i = 0; i < 1000; i++) file.append(line)
  // 8 MiB hold 83 such lines, with the first one among them.
  assert.equal(file.lost, 1000 - 83)
  stuck.resolve(8_388_608)
  await file.close()
})
