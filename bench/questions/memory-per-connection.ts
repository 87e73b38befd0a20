import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { flood } from '../load.ts'
import { CONNECTIONS } from '../measure.ts'
import { memoryBytes } from '../processes.ts'
import type { Question } from '../question.ts'
import { AUTHORIZATION, startStage } from '../stage.ts'
import { summarise } from '../summary.ts'

const IDLE = 2000
const PER = 1000
/** Connections opened at once: fewer than a listen queue holds. */
const BATCH = 100
const MB = 1_000_000

export const question: Question = {
  asks: `How much memory do ${PER.toLocaleString('en-US')} idle client connections take?`,
  unit: 'MB',
  async run({ rounds, seconds }) {
    const bytes: number[] = []
    for (let round = 0; round < rounds; round++) bytes.push(await open(seconds))
    return {
      rows: [
        {
          subject: `a worker, per ${PER.toLocaleString('en-US')} connections`,
          figure: summarise(bytes.map((grown) => (grown * PER) / IDLE / MB)),
          details: { connections: IDLE.toLocaleString('en-US') },
        },
      ],
      goals: [],
      notes: [
        'Proportional set size of the worker with the connections open, each of which has made a request, less that before; a fresh gateway each time, after a load that fills what is kept anyway; memory of the kernel is not in it.',
      ],
    }
  },
}

/** @returns bytes by which the worker grew */
async function open(seconds: number): Promise<number> {
  await using stage = await startStage()
  await flood({ url: stage.url('orders'), headers: AUTHORIZATION, connections: CONNECTIONS, seconds })
  await delay(Math.min(seconds, 1) * 1000)
  const before = memoryBytes(stage.workers)
  const sockets: Socket[] = []
  try {
    while (sockets.length < IDLE) {
      const batch = Array.from({ length: BATCH }, () => createConnection(stage.gateway.proxyPort, '127.0.0.1'))
      sockets.push(...batch)
      await Promise.all(batch.map(request))
    }
    await delay(Math.min(seconds, 1) * 1000)
    return memoryBytes(stage.workers) - before
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

async function request(socket: Socket): Promise<void> {
  socket.write(`GET /orders HTTP/1.1\r\nHost: bench\r\nAuthorization: ${AUTHORIZATION['Authorization']}\r\n\r\n`)
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  if (!chunk.toString('latin1').startsWith('HTTP/1.1 200')) throw new Error(`answered: ${chunk.toString('latin1').split('\r\n', 1)[0]}`)
}
