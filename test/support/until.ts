import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { HttpResponse } from './http-client.ts'

const PAUSE_MS = 5

/** Looks again and again until `condition` holds: for what another process does without saying when. Rejects with `what` after `withinMs`. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, withinMs = 10_000): Promise<void> {
  for (const endMs = performance.now() + withinMs; !(await condition()); await delay(PAUSE_MS)) assert.ok(performance.now() < endMs, what)
}

/** The value that stays the same for a while, once it is more than 0: what can go on has gone on. */
export async function standsStill(value: () => number): Promise<number> {
  let last = { value: value(), atMs: Date.now() }
  await until(() => {
    if (value() !== last.value) last = { value: value(), atMs: Date.now() }
    return last.value > 0 && Date.now() - last.atMs > 700
  }, 'a standstill')
  return last.value
}

/** Repeats a request until it has the status; rejects when it still has another one after `withinMs`. */
export async function untilStatus(status: number, withinMs: number, send: () => Promise<HttpResponse>): Promise<HttpResponse> {
  for (const endMs = performance.now() + withinMs; ; await delay(10 * PAUSE_MS)) {
    const response = await send()
    if (response.status === status) return response
    assert.ok(performance.now() < endMs, `still ${response.status} after ${withinMs} ms: ${response.text}`)
  }
}
