import { once } from 'node:events'
import { createServer } from 'node:net'
import { type ConnectionOptions, connect } from 'node:tls'
import { listen } from '../../demo/listening.ts'

/** The first message of a real client: one record. */
export async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer()
  const port = await listen(server, 0)
  const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  client.on('error', () => {})
  const [socket] = await once(server, 'connection')
  let bytes = Buffer.alloc(0)
  while (bytes.length < 5 || bytes.length < 5 + bytes.readUInt16BE(3)) {
    const [chunk] = await once(socket, 'data')
    bytes = Buffer.concat([bytes, chunk])
  }
  client.destroy()
  socket.destroy()
  server.close()
  return bytes
}
