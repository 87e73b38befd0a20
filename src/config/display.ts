import type { Listener } from './listeners.ts'
import type { Setting, Shown } from './setting.ts'
import { SECTIONS, SETTING_NAMES, SETTINGS, SETTINGS_WITHOUT_EFFECT, type Settings } from './settings.ts'

/** A listener as Kong shows it beside the texts. */
export type ShownListener = Omit<Listener, 'backlog' | 'ipv6only' | 'so_keepalive'>

/**
 * The member `configuration` of `GET /`: every setting that has a value, secrets as `******`, sizes and durations in their units, and the
 * listeners once more taken apart (`proxy_listeners`, `admin_listeners`, `status_listeners`), as Kong shows them.
 */
export function displaySettings(settings: Settings): Record<string, Shown | readonly ShownListener[]> {
  const shown: Record<string, Shown | readonly ShownListener[]> = {}
  for (const name of SETTING_NAMES) {
    const setting: Setting<unknown> = SETTINGS[name]
    const value = setting.show(settings[name])
    if (value !== null) shown[name] = value
  }
  for (const name of ['proxy_listen', 'admin_listen', 'status_listen'] as const) {
    shown[`${name}ers`] = settings[name].map(({ backlog: _backlog, ipv6only: _ipv6only, so_keepalive: _keepalive, ...rest }) => rest)
  }
  return shown
}

/** An example conf file: every setting with its description, commented out at its default. */
export function toConfExample(): string {
  const head = [
    '# Settings of Sallyport, each at its default.',
    '#',
    '# `name = value`; `#` starts a comment (write `\\#` for the sign itself); an empty value means the default.',
    '# A variable SALLYPORT_<NAME> wins over KONG_<NAME>, and both win over this file.',
    '# Sizes: 8k, 10m, 1g, or bytes. Durations: 500ms, 60s, 1m, 1h, or seconds. Lists: separated by commas.',
    '# Any text may be a reference: {vault://env/name} reads the variable NAME.',
  ]
  const sections = SECTIONS.flatMap(([title, settings]) => [
    '',
    '',
    `# ${title}`,
    `# ${'-'.repeat(title.length)}`,
    ...Object.entries<Setting<unknown>>(settings).flatMap(([name, setting]) => [
      '',
      ...wrap(sentence(setting), 110).map((line) => `# ${line}`),
      `#${name} = ${setting.default ?? ''}`.trimEnd(),
    ]),
  ])
  return `${[...head, ...sections].join('\n')}\n`
}

/** The Markdown reference of all settings, for the manual. */
export function toReference(): string {
  const sections = SECTIONS.flatMap(([title, settings]) => [
    `## ${title}`,
    '',
    '| setting | type | default | what it does |',
    '|---|---|---|---|',
    ...Object.entries<Setting<unknown>>(settings).map(([name, setting]) =>
      row([
        code(name),
        typeOf(setting),
        setting.default === null || setting.default === '' ? 'unset' : code(setting.default),
        text(setting),
      ]),
    ),
    '',
  ])
  const without = [
    '## Accepted without effect',
    '',
    'A name of kong.conf that is not in the tables above is accepted and named in one warning at start. The ones worth a word:',
    '',
    '| setting | why | no warning for |',
    '|---|---|---|',
    ...SETTINGS_WITHOUT_EFFECT.map(({ name, why, satisfiedBy }) => row([code(name), why, satisfiedBy.map(code).join(', ')])),
  ]
  return `${[...sections, ...without].join('\n')}\n`
}

function text(setting: Setting<unknown>): string {
  const aliases = setting.aliases.length === 0 ? '' : ` Also: ${setting.aliases.map(code).join(', ')}.`
  return `${setting.description}${setting.kind.sensitive ? ' Never shown.' : ''}${aliases}`
}

function sentence(setting: Setting<unknown>): string {
  const values = setting.kind.oneOf === null ? '' : ` One of: ${setting.kind.oneOf.join(', ')}.`
  return `${setting.description}${setting.unit === null ? '' : ` In ${setting.unit}.`}${values}`
}

function typeOf(setting: Setting<unknown>): string {
  if (setting.kind.oneOf !== null) return setting.kind.oneOf.map(code).join(', ')
  return setting.unit === null ? setting.kind.type : `${setting.kind.type} (${setting.unit})`
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function code(word: string): string {
  return `\`${word}\``
}

function wrap(words: string, columns: number): string[] {
  const lines: string[] = []
  for (const word of words.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + word.length + 1 > columns) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}
