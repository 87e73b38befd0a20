import type { Violation, Violations } from '../../schema/field.ts'
import { isObject } from '../../schema/validate.ts'
import { luaNotation } from '../../schema/violations.ts'
import { DaoError } from '../errors.ts'
import type { Path, Position } from './document.ts'
import type { FlattenedEntity } from './flatten-errors.ts'

/** The faults of a declarative configuration in both of Kong's forms. */
export interface DeclarativeFaults {
  /** Mirrors the input: lists hold null where an entry is good. */
  readonly fields: Violations
  /** What `fields` still says when every faulty entity has been described on its own. */
  readonly remaining: Violations
  readonly flattened: readonly FlattenedEntity[]
  readonly positionOf: (path: Path) => Position | undefined
}

/** Code 14: a declarative configuration that is refused as a whole. */
export class DeclarativeError extends DaoError {
  readonly #faults: DeclarativeFaults

  constructor(faults: DeclarativeFaults) {
    super(14, messageFor(faults.fields), { fields: faults.fields })
    this.#faults = faults
  }

  /** The answer to `flatten_errors`: one item per faulty entity, and only what belongs to no entity left in `fields`. */
  get flattened(): { readonly message: string; readonly fields: Violations; readonly flattened_errors: readonly FlattenedEntity[] } {
    const { remaining, flattened } = this.#faults
    return { message: messageFor(remaining), fields: remaining, flattened_errors: flattened }
  }

  /** One line per fault, indented as Kong prints them at start, each with its place in the file where there is one. */
  get lines(): readonly string[] {
    return printRecord(this.#faults.fields, '', [], this.#faults.positionOf)
  }
}

function messageFor(fields: Violations): string {
  return `declarative config is invalid: ${luaNotation(fields)}`
}

type Locate = DeclarativeFaults['positionOf']

function printRecord(record: Violations, indent: string, path: Path, locate: Locate): string[] {
  return Object.entries(record).flatMap(([name, violation]) =>
    print(`in '${name}'`, name, violation, indent, name === '@entity' ? path : [...path, name], locate),
  )
}

function printList(list: readonly (Violation | null)[], item: string | number, indent: string, path: Path, locate: Locate): string[] {
  const located = item !== '@entity'
  return list.flatMap((violation, index) =>
    violation === null
      ? []
      : print(`- in entry ${index + 1} of '${item}'`, index + 1, violation, indent, located ? [...path, index] : path, locate),
  )
}

function print(title: string, item: string | number, violation: Violation, indent: string, path: Path, locate: Locate): string[] {
  if (typeof violation === 'string') return [`${indent}${title}: ${violation}${placeText(locate(path))}`]
  const inner = `${indent}  `
  const below = isObject(violation)
    ? printRecord(violation as Violations, inner, path, locate)
    : printList(listOf(violation), item, inner, path, locate)
  return [`${indent}${title}:`, ...below]
}

function listOf(violation: Violation): readonly (Violation | null)[] {
  return Array.isArray(violation) ? (violation as readonly (Violation | null)[]) : []
}

function placeText(position: Position | undefined): string {
  return position === undefined ? '' : ` (line ${position.line}, column ${position.column})`
}
