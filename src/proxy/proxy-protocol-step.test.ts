import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Log, silentLog } from '../telemetry/log.ts'
import { createRefusalLog } from './proxy-protocol-step.ts'

test('of refused connections one in a minute is a warning, the others are information', () => {
  const levels: string[] = []
  const log: Log = { ...silentLog, warn: () => void levels.push('warn'), info: () => void levels.push('info') }
  let nowMs = 0
  const refused = createRefusalLog(log, () => nowMs)
  for (const at of [0, 1, 59_999, 60_000, 60_001, 600_000]) {
    nowMs = at
    refused('no header', '192.0.2.1')
  }
  assert.deepEqual(levels, ['warn', 'info', 'info', 'warn', 'info', 'warn'])
})
