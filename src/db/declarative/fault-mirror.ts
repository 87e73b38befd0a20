import type { Violation, Violations } from '../../schema/field.ts'
import { isObject } from '../../schema/validate.ts'
import { setOwn } from '../../util/own-property.ts'
import type { Path } from './document.ts'

/** Collects faults in the shape of the input: members by name, list entries by position, null for the good ones before a faulty one. */
export class FaultMirror {
  readonly fields: Violations

  /** @param faults those that belong to the file as a whole; copied */
  constructor(faults: Violations) {
    this.fields = { ...faults }
  }

  /** Adds what is wrong with the value at `path`. Several faults of one value are merged. */
  add(path: Path, violation: Violation): void {
    placeIn(this.fields, path, violation)
  }

  /**
   * Kong files faulty references under the entity's name or id, and only without either by position: the list that mirrors the input becomes a record then.
   * Answers where the texts are now.
   */
  addLabelled(list: string, label: string | number, texts: readonly string[]): [string, string | number] {
    const before = this.fields[list]
    if (typeof label === 'string' && Array.isArray(before)) this.fields[list] = byPosition(before)
    this.add([list, label], texts)
    return [list, typeof label === 'number' && !Array.isArray(this.fields[list]) ? String(label + 1) : label]
  }
}

function byPosition(list: readonly (Violation | null)[]): Violations {
  return Object.fromEntries(list.flatMap((violation, index) => (violation === null ? [] : [[String(index + 1), violation]])))
}

/** Puts `violation` at `path` below `container` and answers the container, changed in place where its kind allows. */
function placeIn(container: Violation | null | undefined, path: Path, violation: Violation): Violation {
  const [step, ...rest] = path
  // A copy: the mirror changes what it holds, and the entity keeps its own faults.
  if (step === undefined) return merge(container ?? undefined, structuredClone(violation))
  if (typeof step === 'number' && (container === undefined || container === null || Array.isArray(container))) {
    const list = (container ?? []) as (Violation | null)[]
    while (list.length <= step) list.push(null)
    list[step] = placeIn(list[step], rest, violation)
    return list
  }
  const record = recordOf(container)
  const name = typeof step === 'number' ? String(step + 1) : step
  setOwn(record, name, placeIn(Object.hasOwn(record, name) ? record[name] : undefined, rest, violation))
  return record
}

function merge(before: Violation | undefined, violation: Violation): Violation {
  if (before === undefined) return violation
  const record = recordOf(before)
  const added: Violations = isObject(violation) ? (violation as Violations) : { '@entity': textsOf(violation) }
  for (const [name, inner] of Object.entries(added)) {
    if (name === '@entity') record[name] = [...textsOf(record[name]), ...textsOf(inner)]
    else setOwn(record, name, Object.hasOwn(record, name) ? merge(record[name], inner) : inner)
  }
  return record
}

/** A text for a whole entity steps aside when members have faults too. */
function recordOf(violation: Violation | null | undefined): Violations {
  if (violation === undefined || violation === null) return {}
  return isObject(violation) ? (violation as Violations) : { '@entity': textsOf(violation) }
}

function textsOf(violation: Violation | undefined): string[] {
  if (violation === undefined) return []
  return Array.isArray(violation) ? violation.map(String) : [String(violation)]
}
