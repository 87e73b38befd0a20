import { entities } from './001-entities.ts'
import { certificates } from './002-certificates.ts'
import type { Migration } from './migration.ts'

export type { Migration } from './migration.ts'
export { DatabaseVersionError, migrate } from './migration.ts'

/** Every step, oldest first. */
export const MIGRATIONS: readonly Migration[] = [entities, certificates]
