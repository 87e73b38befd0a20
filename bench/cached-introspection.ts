/**
 * Question: what does a request cost whose token was introspected before, with consumer and header projection, next to nginx that only proxies?
 *
 * One worker each, small JSON, kept connections, plain HTTP, the same upstream, alternating in one run. CPU time per request is what is compared: throughput on a
 * machine that also makes the load says less.
 */
import { isInstalled, measure, median, processTree, type Sample } from './measure.ts'
import { startNginxProxy } from './nginx.ts'
import { startStage } from './stage.ts'

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5)
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 5)
const CONNECTIONS = 32

if (!isInstalled('nginx') || !isInstalled('wrk')) {
  process.stderr.write('This question needs nginx and wrk (Debian: apt-get install nginx wrk).\n')
  process.exit(1)
}

const stage = await startStage()
const { gateway, upstream, stub, workers } = stage
const nginx = await startNginxProxy(upstream.port)

try {
  const peers = [
    { name: 'nginx proxy_pass', url: `http://127.0.0.1:${nginx.port}/orders`, pids: processTree(nginx.pid) },
    { name: 'gateway, no plugin', url: `${gateway.proxyOrigin}/plain`, pids: workers },
    { name: 'gateway, cached introspection', url: `${gateway.proxyOrigin}/orders`, pids: workers },
  ]
  const headers = { Authorization: 'Bearer bench-token' }
  const samples = new Map<string, Sample[]>(peers.map(({ name }) => [name, []]))
  for (const { url, pids } of peers) await measure({ url, headers, connections: CONNECTIONS, seconds: 2 }, pids)
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, url, pids } of peers) {
      samples.get(name)?.push(await measure({ url, headers, connections: CONNECTIONS, seconds: SECONDS }, pids))
    }
  }
  const base = median((samples.get('nginx proxy_pass') ?? []).map(({ cpuUsPerRequest }) => cpuUsPerRequest)).value
  const rows = peers.map(({ name }) => {
    const all = samples.get(name) ?? []
    const cpu = median(all.map(({ cpuUsPerRequest }) => cpuUsPerRequest))
    return {
      peer: name,
      'CPU µs/request': cpu.value.toFixed(1),
      '±%': cpu.spreadPercent.toFixed(0),
      'requests/s': Math.round(median(all.map(({ requestsPerS }) => requestsPerS)).value),
      'p99 ms': median(all.map(({ p99Ms }) => p99Ms)).value.toFixed(2),
      '× nginx': (base / cpu.value).toFixed(2),
      errors: all.reduce((sum, { errors }) => sum + errors, 0),
    }
  })
  console.table(rows)
  process.stdout.write(`introspection calls in the whole run: ${stub.calls}\n`)
} finally {
  await nginx.stop()
  await stage.stop()
}
