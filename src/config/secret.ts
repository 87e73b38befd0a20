import { inspect } from 'node:util'

/** What a secret prints as, wherever it is printed. */
const MASK = '***'

/**
 * A text that must not appear in a log, an error, an answer or a dump. Every way of printing it gives `***`; only `reveal()` gives the
 * text, so each place that uses a secret can be found by that word.
 */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** The text itself. */
  reveal(): string {
    return this.#text
  }

  toString(): string {
    return MASK
  }

  toJSON(): string {
    return MASK
  }

  [inspect.custom](): string {
    return MASK
  }
}
