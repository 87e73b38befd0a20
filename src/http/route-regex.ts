/**
 * Regular expressions written in routes, on a linear-time engine (RE2's dialect: no look-around, no back-references), so that no request
 * can make one run long. Kong runs them on an engine of the same class; what differs is that here `\d`, `\w` and `\s` are ASCII, and that the
 * flag `x` and set operations inside `[…]` do not exist.
 */

import { type Matcher, RE2JS } from 're2js'
import { fromByteString, toByteString } from '../util/bytes.ts'
import { errorText } from '../util/errors.ts'
import { isValidUtf8 } from './path.ts'

/** What the groups of a route's regular expression matched, as byte strings. */
export interface Captures {
  /** Index 0 is the whole match, then one entry per group by its number; undefined where a group took no part. */
  readonly positional: readonly (string | undefined)[]
  /** Groups with a name that took part. Has no prototype. */
  readonly named: Readonly<Record<string, string>>
}

/** A path of a route that is a regular expression is written `~` + expression. */
export function isRegexPath(path: string): boolean {
  return path.startsWith('~')
}

/**
 * Why the expression of a route's path cannot be used, or undefined; Kong's text, which names the engine it once had. For the check of the entity, before it
 * reaches a router.
 *
 * @param path with its leading `~`
 */
export function regexPathViolation(path: string): string | undefined {
  return compileViolation(path.slice(1))
}

/** The same for a value of a route's `headers`; values without a leading `~*` are plain text. */
export function headerValueViolation(value: string): string | undefined {
  return value.startsWith('~*') ? compileViolation(value.slice(2)) : undefined
}

function compileViolation(expression: string): string | undefined {
  try {
    RE2JS.compile(expression)
    return undefined
  } catch (error) {
    return `invalid regex: '${expression}' (PCRE returned: ${errorText(error).replace(/^error parsing regexp: /, '')})`
  }
}

/** An expression of `paths`. Anchored at its start the way Kong does it: `^` is put before it, and so binds to its first alternative only. */
export class PathRegex {
  /** ASCII text that every matching path begins with; '' when unknown. */
  readonly literalPrefix: string
  readonly #regex: RE2JS
  readonly #groupCount: number
  readonly #names: readonly (readonly [name: string, group: number])[]

  /**
   * @param path with its leading `~`
   * @throws {Error} the engine refuses the expression
   */
  constructor(path: string) {
    const expression = path.slice(1)
    this.#regex = RE2JS.compile(`^${expression}`)
    this.#groupCount = this.#regex.groupCount()
    this.#names = Object.entries(this.#regex.namedGroups())
    this.literalPrefix = literalPrefix(expression)
  }

  /** @param text the path as text, not as bytes: `.` stands for a whole character */
  find(text: string): Matcher | null {
    const matcher = this.#regex.matcher(text)
    return matcher.find() ? matcher : null
  }

  /** What `matcher`, a result of `find`, holds in its groups; null when none but the whole match took part. */
  captures(matcher: Matcher): Captures | null {
    const positional: (string | undefined)[] = [matchedText(matcher)]
    let tookPart = false
    for (let group = 1; group <= this.#groupCount; group += 1) {
      const text = matcher.group(group)
      positional.push(text === null ? undefined : toByteString(text))
      tookPart ||= text !== null
    }
    if (!tookPart) return null
    const named: Record<string, string> = Object.create(null)
    for (const [name, group] of this.#names) {
      const text = positional[group]
      if (text !== undefined) named[name] = text
    }
    return { positional, named }
  }
}

/** The whole match as a byte string. */
export function matchedText(matcher: Matcher): string {
  return toByteString(matcher.group() ?? '')
}

/** A value of `headers` that begins with `~*`: found anywhere in a header value, in any case. */
export class HeaderRegex {
  readonly #regex: RE2JS

  /**
   * @param value with its leading `~*`
   * @throws {Error} the engine refuses the expression
   */
  constructor(value: string) {
    // Kong lower-cases the expression itself, which turns \D into \d. Ignoring case is what is meant.
    this.#regex = RE2JS.compile(value.slice(2), RE2JS.CASE_INSENSITIVE)
  }

  /** @param value byte string; one that is not UTF-8 does not match */
  test(value: string): boolean {
    if (!isValidUtf8(value)) return false
    return this.#regex.matcher(fromByteString(value)).find()
  }
}

const QUANTIFIERS = '?*+{'
const META = '.[]()*+?{}^$|'
const PUNCTUATION = /[!-/:-@[-`{-~]/
const PRINTABLE_ASCII = /[ -~]/

/**
 * The literal text at the start of an expression, so that routes can be found by it before the engine is asked. It may be shorter than
 * possible, never longer: whatever is not plainly literal ends it.
 */
export function literalPrefix(expression: string): string {
  if (mayHaveAlternatives(expression)) return ''
  let prefix = ''
  let position = 0
  while (position < expression.length) {
    const escaped = expression[position] === '\\'
    const char = expression.charAt(escaped ? position + 1 : position)
    if (char === '' || (escaped ? !PUNCTUATION.test(char) : META.includes(char) || !PRINTABLE_ASCII.test(char))) break
    position += escaped ? 2 : 1
    // A quantifier belongs to the last character, which may then be absent.
    if (position < expression.length && QUANTIFIERS.includes(expression.charAt(position))) break
    prefix += char
  }
  return prefix
}

/** Whether `|` may stand outside every group. In doubt yes. */
function mayHaveAlternatives(expression: string): boolean {
  if (!expression.includes('|')) return false
  if (expression.includes('\\Q')) return true
  let depth = 0
  for (let position = 0; position < expression.length; position += 1) {
    switch (expression[position]) {
      case '\\':
        position += 1
        break
      case '[':
        position = classEnd(expression, position)
        break
      case '(':
        depth += 1
        break
      case ')':
        depth -= 1
        break
      case '|':
        if (depth <= 0) return true
    }
  }
  return false
}

/** Index of the `]` that ends the class beginning at `start`; the end of the expression if there is none. */
function classEnd(expression: string, start: number): number {
  let position = start + 1
  if (expression[position] === '^') position += 1
  if (expression[position] === ']') position += 1
  while (position < expression.length && expression[position] !== ']') {
    if (expression[position] === '\\') position += 1
    else if (expression.startsWith('[:', position)) {
      const end = expression.indexOf(':]', position + 2)
      if (end !== -1) position = end + 1
    }
    position += 1
  }
  return position
}
