/** A Consumer as requests see it: the stored entity's members that matter on the data path, and the entity itself for logs. */
export interface Consumer {
  readonly id: string
  readonly username: string | null
  readonly custom_id: string | null
  readonly tags: readonly string[] | null
}

/** The consumers of one snapshot. Look-ups are exact and case-sensitive unless said otherwise. */
export interface ConsumerDirectory {
  byId(id: string): Consumer | undefined
  byUsername(username: string): Consumer | undefined
  byCustomId(customId: string): Consumer | undefined
  /** Case-insensitive; undefined also where several match. */
  byUsernameIgnoringCase(username: string): Consumer | undefined
}

/** Finds by id, then by username: how `anonymous` names its consumer (Kong 3.1). */
export function findAnonymous(consumers: ConsumerDirectory, idOrUsername: string): Consumer | undefined {
  return consumers.byId(idOrUsername) ?? consumers.byUsername(idOrUsername)
}

/** Builds a directory over the consumers of a snapshot. */
export function createConsumerDirectory(consumers: readonly Consumer[]): ConsumerDirectory {
  const ids = new Map(consumers.map((consumer) => [consumer.id, consumer]))
  const usernames = new Map<string, Consumer>()
  const customIds = new Map<string, Consumer>()
  let folded: Map<string, Consumer | null> | undefined
  for (const consumer of consumers) {
    if (consumer.username !== null) usernames.set(consumer.username, consumer)
    if (consumer.custom_id !== null) customIds.set(consumer.custom_id, consumer)
  }
  return {
    byId: (id) => ids.get(id),
    byUsername: (username) => usernames.get(username),
    byCustomId: (customId) => customIds.get(customId),
    byUsernameIgnoringCase: (username) => {
      folded ??= foldUsernames(consumers)
      return folded.get(username.toLowerCase()) ?? undefined
    },
  }
}

/** Null marks a spelling that several consumers share: an ambiguous match is no match. */
function foldUsernames(consumers: readonly Consumer[]): Map<string, Consumer | null> {
  const folded = new Map<string, Consumer | null>()
  for (const consumer of consumers) {
    if (consumer.username === null) continue
    const key = consumer.username.toLowerCase()
    folded.set(key, folded.has(key) ? null : consumer)
  }
  return folded
}
