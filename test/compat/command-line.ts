import { spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createHttpClient, type Json, joinFields, parseJson } from '../support/http-client.ts'
import { runProgram } from '../support/run-program.ts'

/** The answer to the last request that a command line made. */
export type Answer = { status: number; headers: Record<string, string>; text: string; json: Json | null | undefined }

/** Carries out command lines of the documentation: `http …` and `http … "$(http … | jq -r .path)"`. */
export type CommandLine = AsyncDisposable & { run(command: string): Promise<Answer> }

/** `"$(http … | jq -r .path)"`, the only nesting there is. */
const NESTED = /\$\((.+?) \| jq -r ([\w.]+)\)/

function isInstalled(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined
}

/** The programs that real command lines need and this machine has not. */
export function missingPrograms(): string[] {
  return ['bash', 'http', 'jq'].filter((program) => !isInstalled(program))
}

/** The last response in what HTTPie printed; `-v` shows the request in front of it. */
function readPrinted(printed: string): Answer | undefined {
  const text = printed.replaceAll('\r\n', '\n')
  const start = text.lastIndexOf('\nHTTP/1.1 ') + 1
  const [head = '', ...rest] = text.slice(start).split('\n\n')
  const [first = '', ...fields] = head.split('\n')
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1])
  if (!Number.isInteger(status)) return undefined
  const headers = joinFields(fields.map((field) => [field.slice(0, field.indexOf(':')), field.slice(field.indexOf(':') + 1).trim()]))
  const body = rest.join('\n\n')
  return { status, headers, text: body, json: parseJson(body) }
}

/**
 * The real programs, run by bash. HTTPie takes our needs (no body from standard input, show the response's head) from its own file
 * of default options, so that the command lines stay as they are.
 */
export async function realCommandLine(folder: string): Promise<CommandLine> {
  async function configure(name: string, options: string[]): Promise<string> {
    const path = join(folder, name)
    await mkdir(path, { recursive: true })
    await writeFile(join(path, 'config.json'), JSON.stringify({ default_options: options, disable_update_warnings: true }))
    return path
  }
  const plain = await configure('plain', ['--ignore-stdin', '--print=hb'])
  // The program inside `$(…)` must print the body alone, and the one around it is told by `-v` to show everything.
  const verbose = await configure('verbose', ['--ignore-stdin'])

  async function run(command: string): Promise<Answer> {
    const env = { ...process.env, HTTPIE_CONFIG_DIR: / -v /.test(command) ? verbose : plain, NO_PROXY: '*', no_proxy: '*' }
    const { out, err } = await runProgram('bash', ['-o', 'pipefail', '-c', command], { env })
    const answer = readPrinted(out)
    if (answer === undefined) throw new Error(`no response from: ${command}\n${err}${out}`)
    return answer
  }

  return { run, [Symbol.asyncDispose]: async () => {} }
}

function words(text: string): string[] {
  return [...text.matchAll(/(?:"[^"]*"|\S)+/g)].map(([word]) => word.replaceAll('"', ''))
}

/** `/path`, `:8001/path` and `host/path` as HTTPie understands them. */
function urlOf(word: string): string {
  if (/^https?:/.test(word)) return word
  return `http://${/^(:|\/)/.test(word) ? 'localhost' : ''}${word}`
}

type Request = { method: string; url: string; headers: Record<string, string>; fields: URLSearchParams; form: boolean }

/** HTTPie's arguments, as far as the documentation uses them: `-f`, `-v`, `-a user:password`, method, URL, `field=value`, `Header:value`. */
function readArguments(parameters: string[]): Request {
  const headers: Record<string, string> = {}
  const fields = new URLSearchParams()
  const rest: string[] = []
  let form = false
  for (let index = 0; index < parameters.length; index++) {
    const word = parameters[index] ?? ''
    if (word === '-f') form = true
    else if (word === '-a') headers['authorization'] = `Basic ${Buffer.from(parameters[++index] ?? '').toString('base64')}`
    else if (word !== '-v') rest.push(word)
  }
  const method = /^[a-z]+$/i.test(rest[0] ?? '') ? rest.shift() : undefined
  const url = urlOf(rest.shift() ?? '')
  for (const item of rest) {
    const [, name = '', separator, value = ''] = /^([^=:]+)([=:])(.*)$/s.exec(item) ?? []
    if (separator === ':') headers[name.toLowerCase()] = value
    else fields.append(name, value)
  }
  return { method: (method ?? (fields.size > 0 ? 'POST' : 'GET')).toUpperCase(), url, headers, fields, form }
}

/** The same requests without the programs, for machines that have them not. */
export function builtInCommandLine(): CommandLine {
  const client = createHttpClient()

  async function run(command: string): Promise<Answer> {
    const [nesting, inner = '', path = ''] = NESTED.exec(command) ?? []
    if (nesting !== undefined) return run(command.replace(nesting, await select(inner, path)))
    const [program, ...parameters] = words(command)
    if (program !== 'http') throw new TypeError(`not a command line of HTTPie: ${command}`)
    const { method, url, headers, fields, form } = readArguments(parameters)
    const body = fields.size === 0 ? undefined : form ? fields : Object.fromEntries(fields)
    return client.request(method, url, { headers, body })
  }

  /** What `jq -r` prints. */
  async function select(command: string, path: string): Promise<string> {
    let value = (await run(command)).json
    for (const member of path.split('.').slice(1)) value = value?.[member]
    return value === undefined || value === null ? 'null' : typeof value === 'object' ? JSON.stringify(value) : String(value)
  }

  return { run, [Symbol.asyncDispose]: () => client.close() }
}
