/**
 * h2spec (https://github.com/summerwind/h2spec) against the gateway: every rule of RFC 7540 and RFC 7541 that it tests, but for those listed here with their
 * reason. `.ci/install-services` installs it into `.cache/go/bin` where there is Go.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { isInstalled } from '../../bench/processes.ts'
import { startEchoUpstream } from '../../demo/echo-upstream.ts'
import { startGateway } from '../support/gateway.ts'
import { temporaryFolder } from '../support/temp.ts'

const CACHED = resolve(import.meta.dirname, '../../.cache/go/bin/h2spec')

/** Cases that do not pass, each `section: title`, and why that is right. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'http2/3.5: Sends invalid connection preface':
    'on a listener in clear such bytes are HTTP/1.1, and are answered as a bad request of it before the close',
  'http2/5.1: closed: Sends a DATA frame after sending RST_STREAM frame':
    'nghttp2 ignores frames on a stream that was reset: RFC 9113 section 5.1 permits it, and counts their octets for flow control',
  'http2/5.1: closed: Sends a HEADERS frame after sending RST_STREAM frame':
    'as above; the header block is decoded, the request is not served',
  'http2/5.1: closed: Sends a DATA frame': 'as above, for a stream that ended',
  'http2/5.1: closed: Sends a HEADERS frame': 'as above, for a stream that ended',
  'http2/5.1.1: Sends stream identifier that is numerically smaller than previous':
    'nghttp2 takes it for a frame on a stream that is closed, and ignores it; the request is not served',
  'http2/5.3.1: Sends PRIORITY frame that depend on itself': 'RFC 9113 section 5.3.2 deprecates priorities; nghttp2 reads over such frames',
  'http2/6.3: Sends a PRIORITY frame with 0x0 stream identifier': 'as above',
  'http2/6.7: Sends a PING frame with ACK': 'Node.js ends a connection that acknowledges what was never sent',
  'http2/6.9.1: Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream':
    'Node.js ends the connection (FLOW_CONTROL_ERROR) instead of the stream: harder than asked for, and what a flood of such resets deserves',
}

const program = existsSync(CACHED) ? CACHED : isInstalled('h2spec') ? 'h2spec' : undefined
const skip = program === undefined ? 'h2spec is NOT INSTALLED: conformance to HTTP/2 is not tested (see .ci/install-services)' : false

test('h2spec passes, but for the exceptions that are listed', { skip }, async () => {
  await using upstream = await startEchoUpstream()
  await using folder = await temporaryFolder()
  await using gateway = await startGateway({
    database: 'off',
    env: { SALLYPORT_PROXY_LISTEN: '127.0.0.1:0 http2' },
    declarative: {
      _format_version: '3.0',
      services: [{ name: 'echo', url: upstream.origin, routes: [{ name: 'all', paths: ['/'], strip_path: false }] }],
    },
  })
  const report = join(folder.path, 'report.xml')
  const parameters = ['-h', '127.0.0.1', '-p', String(gateway.proxyPort), '-P', '/anything/x', '-o', '2', '-j', report]
  const child = spawn(program as string, parameters, { stdio: ['ignore', 'ignore', 'inherit'] })
  await once(child, 'close')
  const cases = readCases(await readFile(report, 'latin1'))
  assert.ok(cases.length > 140, `${cases.length} cases`)
  const failed = cases.filter(({ passed }) => !passed).map(({ name }) => name)
  assert.deepEqual(
    failed.filter((name) => !(name in EXCEPTIONS)),
    [],
  )
})

function readCases(xml: string): { name: string; passed: boolean }[] {
  return [...xml.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*>(<(?:failure|error))?/g)].map(
    ([, section = '', title = '', failure]) => ({
      name: `${section}: ${title.replaceAll('&#34;', '"').replaceAll('&amp;', '&')}`,
      passed: failure === undefined,
    }),
  )
}
