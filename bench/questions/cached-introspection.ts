import { cpuRow, measureInRounds, type Subject, timesAsFast } from '../measure.ts'
import { hasApacheOauth2, startApacheOauth2 } from '../peers/apache.ts'
import { hasNjs, startNginxNjs, startNginxProxy } from '../peers/nginx.ts'
import type { Server } from '../peers/server.ts'
import type { Goal, Question, Row } from '../question.ts'
import { AUTHORIZATION, assertIntrospects, startStage } from '../stage.ts'

interface Peer {
  readonly name: string
  readonly introspects: boolean
  /** How many times as fast we want to be. */
  readonly goal: number
  /** Debian's package that it needs. */
  readonly debianPackage: string
  readonly isInstalled: () => boolean
  readonly start: (backend: Server) => Promise<Server>
}

const PEERS: readonly Peer[] = [
  {
    name: 'nginx proxy_pass',
    introspects: false,
    goal: 0.75,
    debianPackage: 'nginx',
    isInstalled: () => true,
    start: startNginxProxy,
  },
  {
    name: 'nginx + njs introspection',
    introspects: true,
    goal: 2,
    debianPackage: 'libnginx-mod-http-js',
    isInstalled: hasNjs,
    start: startNginxNjs,
  },
  {
    name: 'Apache + mod_oauth2',
    introspects: true,
    goal: 4,
    debianPackage: 'apache2-bin libapache2-mod-oauth2',
    isInstalled: hasApacheOauth2,
    start: startApacheOauth2,
  },
]

export const question: Question = {
  asks: 'What does a request cost whose token was introspected before, with consumer and claim headers, beside other proxies?',
  unit: 'CPU µs per request',
  async run(pace) {
    await using cleanup = new AsyncDisposableStack()
    const stage = cleanup.use(await startStage())
    const ours = stage.subject('Sallyport, cached introspection', 'orders')
    const theirs = new Map<Peer, Subject>()
    for (const peer of PEERS.filter(({ isInstalled }) => isInstalled())) {
      const server = cleanup.adopt(await peer.start(stage.backend), (started) => started.stop())
      const url = `http://127.0.0.1:${server.port}/orders`
      theirs.set(peer, { name: peer.name, url, headers: AUTHORIZATION, pids: server.pids })
    }
    for (const subject of [ours, ...PEERS.filter(({ introspects }) => introspects).flatMap((peer) => theirs.get(peer) ?? [])]) {
      await assertIntrospects(subject)
    }
    const samples = await measureInRounds([ours, ...theirs.values()], pace)
    const samplesOf = (subject: Subject | undefined) => (subject && samples.get(subject)) ?? []
    const rows = PEERS.map(({ debianPackage, name, ...peer }, i): Row => {
      if (!peer.isInstalled()) return { subject: name, missing: `not installed (Debian: apt-get install ${debianPackage})` }
      return cpuRow(name, samplesOf(theirs.get(PEERS[i] as Peer)))
    })
    const goals = [...theirs].map(
      ([{ name, goal }, subject]): Goal => ({
        of: `× as fast as ${name}`,
        value: timesAsFast(samplesOf(ours), samplesOf(subject)),
        sense: 'at least',
        bound: goal,
      }),
    )
    return {
      rows: [cpuRow(ours.name, samplesOf(ours)), ...rows],
      goals,
      notes: [
        'One worker each, on a core of its own; small JSON, 32 kept connections, plain HTTP, the same upstream and introspection endpoint.',
        'Before the first round each one that introspects is shown to refuse a request without token and to pass claims on. Apache passes claims on but finds no consumer.',
      ],
    }
  },
}
