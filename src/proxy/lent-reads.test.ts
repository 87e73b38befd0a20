import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { listen } from '../../demo/listening.ts'
import { frontOptions } from '../../test/support/front-options.ts'
import { RawConnection } from '../../test/support/raw-client.ts'
import { HeaderList } from '../http/headers.ts'
import { lendReads } from './lent-reads.ts'
import { createFront, type Front } from './server.ts'

test('what an accepted connection sends is lent from one buffer, and its server counts it until it is closed', async () => {
  const lent: { bytes: Buffer; text: string }[] = []
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, (accepted) => {
    const socket = lendReads(accepted, (bytes) => {
      lent.push({ bytes, text: bytes.toString('latin1') })
      return true
    })
    assert.ok(socket !== null, 'this Node.js keeps its connections elsewhere')
    sockets.push(socket)
    socket.on('end', () => socket.end('bye'))
  })
  const port = await listen(server)
  for (const text of ['one', 'two']) {
    const client = connect(port, '127.0.0.1').setEncoding('latin1')
    let received = ''
    client.on('data', (chunk: string) => {
      received += chunk
    })
    client.end(text)
    await once(client, 'end')
    assert.equal(received, 'bye')
  }
  const held = connect(port, '127.0.0.1')
  await once(server, 'connection')
  assert.deepEqual(
    lent.map(({ text }) => text),
    ['one', 'two'],
  )
  assert.equal(lent[0]?.bytes.buffer, lent[1]?.bytes.buffer)
  let closed = false
  server.close(() => {
    closed = true
  })
  await turn()
  assert.equal(closed, false)
  held.destroy()
  await once(server, 'close')
  assert.ok(sockets.every((socket) => socket.destroyed))
})

test('a connection that is kept nowhere known is left as it is', () => {
  const socket = new Socket()
  assert.equal(
    lendReads(socket, () => true),
    null,
  )
})

describe('a front whose connections share a buffer', () => {
  let front: Front
  let port: number
  before(async () => {
    const echo = frontOptions((downstream) => {
      void downstream.body.collect(1_000_000).then(({ bytes }) => {
        const body = Buffer.concat([Buffer.from(`${downstream.target} ${downstream.headers.get('x-mark')} `), bytes])
        downstream.respond(200, undefined, HeaderList.fromRaw(['Content-Length', String(body.length)]), body)
      })
    })
    front = createFront(echo, null)
    port = await listen(front.server)
  })
  after(async () => {
    front.server.close()
    await front.destroy()
  })

  /** Requests of one client, each full of its mark, and what is to come back. */
  function messages(mark: string, bodies: readonly { readonly size: number; readonly chunked: boolean }[]) {
    let sent = ''
    const expected: string[] = []
    for (const [i, { size, chunked }] of bodies.entries()) {
      const body = mark.repeat(size)
      const framing = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${size}`
      const framed = !chunked ? body : size === 0 ? '0\r\n\r\n' : `${size.toString(16)}\r\n${body}\r\n0\r\n\r\n`
      sent += `POST /${mark}${i} HTTP/1.1\r\nHost: a\r\nX-Mark: ${mark.repeat(20)}\r\n${framing}\r\n\r\n${framed}`
      expected.push(`/${mark}${i} ${mark.repeat(20)} ${body}`)
    }
    return { sent, expected }
  }

  test('answers each client with its own bytes, however its messages and those of others are cut', async () => {
    const bodies = fc.array(fc.record({ size: fc.nat(300), chunked: fc.boolean() }), { minLength: 1, maxLength: 3 })
    const clients = fc.array(fc.record({ bodies, cuts: fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 10 }) }), {
      minLength: 2,
      maxLength: 5,
    })
    const rule = fc.asyncProperty(clients, async (plans) => {
      const senders = await Promise.all(
        plans.map(async ({ bodies, cuts }, i) => {
          const { sent, expected } = messages(String.fromCharCode(65 + i), bodies)
          const pieces: string[] = []
          for (let at = 0, n = 0; at < sent.length; n++) {
            const size = cuts[n % cuts.length] ?? 1
            pieces.push(sent.slice(at, at + size))
            at += size
          }
          return { connection: await RawConnection.open(port), pieces, expected }
        }),
      )
      try {
        // In turn, so that the rest of one's message is read between two pieces of another's.
        while (senders.some(({ pieces }) => pieces.length > 0)) {
          for (const { connection, pieces } of senders) connection.send(pieces.shift() ?? '')
          await turn()
        }
        for (const { connection, expected } of senders) {
          for (const text of expected) assert.equal((await connection.readResponse()).body.toString('latin1'), text)
        }
      } finally {
        for (const { connection } of senders) connection.destroy()
      }
    })
    await fc.assert(rule, { numRuns: 60 })
  })
})
