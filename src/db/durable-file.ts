import { randomUUID } from 'node:crypto'
import { link, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorCode } from '../util/errors.ts'

/** Files here may hold secrets or personal data: for the owner only. */
const FILE_MODE = 0o600
const FOLDER_MODE = 0o700

/** Replaces `file` as a whole: a reader, and a restart after any loss of power, finds the old text or the new one. Durable when it resolves. */
export async function replaceFile(file: string, text: string): Promise<void> {
  const draft = await writeDraft(file, text)
  try {
    await rename(draft, file)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
  await syncFolder(dirname(file))
}

/** Creates `file` with `text`, or leaves it alone when it exists. Durable when it resolves. */
export async function createFile(file: string, text: string): Promise<void> {
  const draft = await writeDraft(file, text)
  try {
    // Unlike a rename, a link never replaces the file that another process has made in the meantime.
    await link(draft, file)
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
  } finally {
    await rm(draft, { force: true })
  }
  await syncFolder(dirname(file))
}

/** The text of `file`, or null when there is no such file. */
export async function readFileIfPresent(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null
    throw error
  }
}

/** Makes `file`, empty, and its folder where they are missing, so that only the owner can read what will lie there. */
export async function prepareFile(file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: FOLDER_MODE })
  await (await open(file, 'a', FILE_MODE)).close()
}

async function writeDraft(file: string, text: string): Promise<string> {
  await mkdir(dirname(file), { recursive: true, mode: FOLDER_MODE })
  const draft = `${file}.${randomUUID()}.tmp`
  const handle = await open(draft, 'wx', FILE_MODE)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  } finally {
    await handle.close()
  }
  return draft
}

/** A rename or a link is durable only when the folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
