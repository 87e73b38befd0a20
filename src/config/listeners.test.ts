import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLoopback, LISTENER_USAGE, ListenerSyntaxError, parseListeners } from './listeners.ts'

test('an entry is an address, a port and flags in any order', () => {
  assert.deepEqual(
    parseListeners('0.0.0.0:8000 reuseport backlog=16384, [::1]:8443 http2 ssl deferred bind so_keepalive=30m::10 ipv6only=off'),
    [
      {
        ip: '0.0.0.0',
        port: 8000,
        ssl: false,
        http2: false,
        proxy_protocol: false,
        deferred: false,
        bind: false,
        reuseport: true,
        backlog: 16384,
        ipv6only: null,
        so_keepalive: null,
        listener: '0.0.0.0:8000 reuseport backlog=16384',
      },
      {
        ip: '::1',
        port: 8443,
        ssl: true,
        http2: true,
        proxy_protocol: false,
        deferred: true,
        bind: true,
        reuseport: false,
        backlog: null,
        ipv6only: false,
        so_keepalive: '30m::10',
        listener: '[::1]:8443 ssl http2 deferred bind ipv6only=off so_keepalive=30m::10',
      },
    ],
  )
})

test('off is no listener, port 0 and host names are allowed, empty entries are dropped', () => {
  assert.deepEqual(parseListeners(' off '), [])
  assert.deepEqual(
    parseListeners('localhost:0,, 127.0.0.1:1 ,').map(({ listener }) => listener),
    ['localhost:0', '127.0.0.1:1'],
  )
})

test("anything else is refused with Kong's usage text", () => {
  const bad = [
    '',
    ',',
    '8000',
    '127.0.0.1',
    '127.0.0.1:65536',
    '127.0.0:80',
    '300.0.0.1:80',
    '::1:80',
    '[::1:80',
    '[127.0.0.1]:80',
    'unix:/x',
  ]
  for (const text of [
    ...bad,
    '127.0.0.1:80 sssl',
    '127.0.0.1:80 backlog=x',
    '127.0.0.1:80 ipv6only',
    '127.0.0.1:80 a=b',
    'off, 127.0.0.1:80',
  ]) {
    assert.throws(() => parseListeners(text), ListenerSyntaxError, text)
  }
  assert.match(LISTENER_USAGE, /^must be of form: \[off\] \| <ip>:<port> \[ssl\] \[http2\]/)
})

test('only loopback addresses count as unreachable from other machines', () => {
  const of = (text: string) => parseListeners(text).map(isLoopback)
  assert.deepEqual(of('127.0.0.1:1, 127.1.2.3:1, [::1]:1, [::ffff:127.0.0.1]:1, localhost:1'), [true, true, true, true, true])
  assert.deepEqual(of('0.0.0.0:1, [::]:1, 10.0.0.1:1, [::ffff:10.0.0.1]:1, localhost.example.com:1'), [false, false, false, false, false])
})
