/**
 * From the database to the workers. Every change of the database makes a new frame; changes that come while a frame is on its way are gathered into the next,
 * so that a burst of writes costs a few frames. `settled()` is done when all that was written before it is served.
 */
import type { Database } from './db/database.ts'
import type { Consumer } from './entities/consumer-directory.ts'
import type {
  CaCertificateEntity,
  CertificateEntity,
  Frame,
  PluginEntity,
  ServiceEntity,
  SniEntity,
  StoredRoute,
} from './proxy/snapshot.ts'
import type { Log } from './telemetry/log.ts'
import { errorText } from './util/errors.ts'

export class Configuration {
  readonly #database: Database
  readonly #log: Log
  readonly #publish: (frame: Frame) => Promise<void>
  #version = 0
  #changes = 0
  #published = 0
  #running: Promise<void> | null = null

  constructor(database: Database, log: Log, publish: (frame: Frame) => Promise<void>) {
    this.#database = database
    this.#log = log
    this.#publish = publish
  }

  /** Reads the database into a frame. */
  async read(): Promise<Frame> {
    const [tree, objects] = [await this.#database.export(), await this.#database.objects.all()]
    return {
      version: ++this.#version,
      services: tree.services as readonly unknown[] as readonly ServiceEntity[],
      routes: tree.routes as readonly unknown[] as readonly StoredRoute[],
      consumers: tree.consumers as readonly unknown[] as readonly Consumer[],
      plugins: tree.plugins as readonly unknown[] as readonly PluginEntity[],
      certificates: tree.certificates as readonly unknown[] as readonly CertificateEntity[],
      snis: tree.snis as readonly unknown[] as readonly SniEntity[],
      ca_certificates: tree.ca_certificates as readonly unknown[] as readonly CaCertificateEntity[],
      objects: objects.map(({ plugin, kind, key, value }) => ({ plugin, kind, key, value })),
    }
  }

  /** To be called after every durable change. */
  changed(): void {
    this.#changes++
    void this.settled()
  }

  /** Resolves when the workers serve everything that was written before this call. Never rejects. */
  async settled(): Promise<void> {
    const wanted = this.#changes
    while (this.#published < wanted) {
      this.#running ??= this.#run().finally(() => {
        this.#running = null
      })
      await this.#running
    }
  }

  async #run(): Promise<void> {
    const included = this.#changes
    try {
      await this.#publish(await this.read())
    } catch (error) {
      this.#log.error('configuration could not be read', { reason: errorText(error) })
    }
    this.#published = included
  }
}
