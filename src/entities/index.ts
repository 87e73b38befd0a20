import type { EntitySchema } from '../schema/schema.ts'
import { caCertificates } from './ca-certificate.ts'
import { certificates } from './certificate.ts'
import { consumers } from './consumer.ts'
import type { PluginShape } from './plugin.ts'
import { createPluginEntity } from './plugin.ts'
import { routes } from './route.ts'
import { services } from './service.ts'
import { snis } from './sni.ts'

export { caCertificates } from './ca-certificate.ts'
export { certificates } from './certificate.ts'
export { consumers } from './consumer.ts'
export { createPluginEntity } from './plugin.ts'
export { routes } from './route.ts'
export { services } from './service.ts'
export { snis } from './sni.ts'

/** Every entity, parents before children: the order in which a configuration is loaded and printed. */
export function entitySchemas(plugins: ReadonlyMap<string, PluginShape>): readonly EntitySchema[] {
  return [certificates, snis, caCertificates, services, routes, consumers, createPluginEntity(plugins)]
}
