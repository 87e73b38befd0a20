import { randomBytes } from 'node:crypto'

/** What OpenSSL wants: a name, and two keys, 16 bytes each. */
const TICKET_KEY_BYTES = 48
/** Whoever gets hold of a key reads what was resumed with it: none lives for longer than a day, whatever the sessions may. */
const MAX_LIFE_MS = 86_400_000
const MIN_LIFE_MS = 60_000

/** The keys of session tickets: made by the primary and the same in all workers. They are kept in memory and written nowhere. */
export class TicketKeys {
  #current = randomBytes(TICKET_KEY_BYTES)
  #timer: NodeJS.Timeout | undefined

  get current(): Buffer {
    return this.#current
  }

  /**
   * Replaces the keys from time to time; clients whose tickets are of the old ones make a full handshake.
   *
   * @param lifeMs of a session
   */
  rotate(lifeMs: number, onChange: () => void): void {
    this.stop()
    this.#timer = setInterval(
      () => {
        this.#current = randomBytes(TICKET_KEY_BYTES)
        onChange()
      },
      Math.min(MAX_LIFE_MS, Math.max(MIN_LIFE_MS, lifeMs)),
    )
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
