import { uuidV5 } from '../../util/uuid-v5.ts'

/** Kong's root name space of generated ids; changing it would give every entity of every file a new id. */
const ROOT = 'fd02801f-0957-4a15-a55a-c8d9606f30b5'

/** The id that Kong gives to an entity without one: the same key in the same kind of entity has the same id in every load and on every node. */
export function generatedId(entityName: string, key: string): string {
  return uuidV5(uuidV5(ROOT, entityName), key)
}
