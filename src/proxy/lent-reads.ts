/** Sockets that were accepted, read into one buffer. */
import { type BoundSocket, Socket } from 'node:net'
import { ReadBuffer } from '../http/read-buffer.ts'

const buffer = new ReadBuffer()

/** A socket with what is behind it: not documented, and named so since there are sockets in Node.js, which itself moves handles from socket to socket. */
interface HandleHolder {
  _handle?: BoundSocket | null
}

/**
 * A socket over the connection of an accepted one, whose bytes come by a call and are lent for its time. It takes nothing from what the accepted one may have read:
 * to be called before that can have been.
 *
 * Node.js lets who opens a connection give the buffer (`onread`), but not who accepts one; the same is possible only for a socket that is made anew. The accepted
 * one remains an empty shell, for the count of its server, until the connection is closed.
 *
 * @param receive its answer false stops the reading, as `pause` would
 * @returns null where this Node.js keeps its connections elsewhere: the accepted socket is as it was
 */
export function lendReads(accepted: Socket, receive: (bytes: Buffer) => boolean): Socket | null {
  const holder = accepted as HandleHolder
  const handle = holder._handle
  if (handle === undefined || handle === null || !('useUserBuffer' in handle)) return null
  holder._handle = null
  const socket = new Socket({
    // Documented for handles that are bound; what is connected is taken likewise.
    handle,
    allowHalfOpen: accepted.allowHalfOpen,
    onread: { buffer: buffer.bytes, callback: (size) => receive(buffer.view(size)) },
  })
  socket.once('close', () => accepted.destroy())
  return socket
}
