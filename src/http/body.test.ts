import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BodySink, type BodySource, collectBody } from './body.ts'

/** A body that comes when the test says so. */
class Source implements BodySource {
  sink: BodySink | null = null
  read(sink: BodySink): void {
    this.sink = sink
  }
  resume(): void {}
  discard(): void {}
  /** @returns what the sink answered to each */
  push(...chunks: readonly string[]): (boolean | undefined)[] {
    return chunks.map((chunk) => this.sink?.onChunk(Buffer.from(chunk)))
  }
}

test('a body within the limit is collected whole', async () => {
  const source = new Source()
  const collected = collectBody(source, 4)
  assert.deepEqual(source.push('ab', 'cd'), [true, true])
  source.sink?.onEnd()
  assert.deepEqual(await collected, { bytes: Buffer.from('abcd'), complete: true })
})

test('what comes together with the chunk that exceeds the limit is kept', async () => {
  const source = new Source()
  const collected = collectBody(source, 3)
  assert.deepEqual(source.push('ab', 'cd', 'ef'), [true, false, false])
  source.sink?.onEnd()
  assert.deepEqual(await collected, { bytes: Buffer.from('abcdef'), complete: false })
})

test('a body that breaks off in the piece that exceeds the limit is refused', async () => {
  const source = new Source()
  const collected = collectBody(source, 1)
  source.push('ab', 'cd')
  source.sink?.onError(new Error('a bad chunk'))
  await assert.rejects(collected, /a bad chunk/)
})
