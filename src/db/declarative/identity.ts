import { createHash } from 'node:crypto'

/** Kong's root name space of generated ids; changing it would give every entity of every file a new id. */
const ROOT = 'fd02801f-0957-4a15-a55a-c8d9606f30b5'

/** A name-based UUID with SHA-1 (RFC 9562 section 5.5). `namespace` is a UUID as text. */
export function uuidV5(namespace: string, name: string): string {
  const digest = createHash('sha1')
    .update(Buffer.from(namespace.replaceAll('-', ''), 'hex'))
    .update(name, 'utf8')
    .digest()
  digest[6] = (digest[6]! & 0x0f) | 0x50
  digest[8] = (digest[8]! & 0x3f) | 0x80
  const hex = digest.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-')
}

/** The id that Kong gives to an entity without one: the same key in the same kind of entity has the same id in every load and on every node. */
export function generatedId(entityName: string, key: string): string {
  return uuidV5(uuidV5(ROOT, entityName), key)
}
