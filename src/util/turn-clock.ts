/**
 * The time, read from the system at most once in each turn of the event loop: what is done for a request in one turn is done at one time, as in nginx. Exact to
 * the length of a turn, which is milliseconds under load; what is to be measured in itself needs the system's clock.
 */

let epochMs = 0
let monotonicMs = 0

function read(): void {
  epochMs = Date.now()
  monotonicMs = performance.now()
  setImmediate(forget)
}

function forget(): void {
  epochMs = 0
}

/** Epoch milliseconds, as `Date.now` gives them. */
export function turnMs(): number {
  if (epochMs === 0) read()
  return epochMs
}

/** Milliseconds of a clock that only goes forward, as `performance.now` gives them. */
export function turnMonotonicMs(): number {
  if (epochMs === 0) read()
  return monotonicMs
}
