import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { IDENTITY } from './field-marks.ts'
import { fieldName, HeaderLines, HeaderList } from './headers.ts'

const lines = (...raw: string[]): HeaderList => HeaderList.fromRaw(raw)

test('lines keep their order, spelling and repetition', () => {
  const raw = ['Host', 'a', 'x-A', '1', 'X-a', '2', 'Host', 'b']
  assert.deepEqual(lines(...raw).toRaw(), raw)
  const seen: string[] = []
  lines(...raw).each((name, value, lower) => seen.push(`${name}=${value}=${lower}`))
  assert.deepEqual(seen, ['Host=a=host', 'x-A=1=x-a', 'X-a=2=x-a', 'Host=b=host'])
})

test('look-ups take lower-case names: the first value, all values, their number', () => {
  const list = lines('X-A', '1', 'B', '2', 'x-a', '3')
  assert.deepEqual(
    [list.get('x-a'), list.get('X-A'), list.all('x-a'), list.count('x-a'), list.has('b'), list.has('c')],
    ['1', undefined, ['1', '3'], 2, true, false],
  )
  assert.deepEqual([list.size, list.nameAt(2).name, list.nameAt(2).lower, list.valueAt(2)], [3, 'x-a', 'x-a', '3'])
})

test('setting a line replaces all of its name, at the place of the first', () => {
  const list = lines('A', '1', 'x-a', '2', 'B', '3', 'X-A', '4')
  list.set('X-a', '5')
  list.set('C', '6')
  assert.deepEqual(list.toRaw(), ['A', '1', 'X-a', '5', 'B', '3', 'C', '6'])
})

test('removing a name removes every line of it and no other', () => {
  for (const name of ['a', 'b', 'c', 'd']) {
    const raw = ['A', '1', 'B', '2', 'a', '3', 'C', '4', 'A', '5']
    const list = lines(...raw)
    list.remove(name)
    const kept = raw.flatMap((text, i) => (i % 2 === 0 && text.toLowerCase() !== name ? [text, raw[i + 1] as string] : []))
    assert.deepEqual(list.toRaw(), kept)
    assert.deepEqual([list.has(name), list.size], [false, kept.length / 2])
  }
  const list = lines('A', '1', 'B', '2', 'C', '3')
  list.removeWhere((lower) => lower !== 'b')
  assert.deepEqual(list.toRaw(), ['B', '2'])
})

test('a line that could split a message is named, until it is gone', () => {
  const list = lines('A', 'b\tc \xff')
  assert.equal(list.unsafeName(), undefined)
  list.add('X-Bad', 'a\r\nb')
  assert.equal(list.unsafeName(), 'X-Bad')
  list.set('x-bad', 'ab')
  assert.equal(list.unsafeName(), undefined)
  list.set('A', '\u010a')
  assert.equal(list.unsafeName(), 'A')
  list.remove('a')
  assert.equal(list.unsafeName(), undefined)
  list.add('no token', '')
  assert.equal(list.unsafeName(), 'no token')
})

test('framing is known to be absent only where it never was', () => {
  assert.equal(lines('Content-Lengthy', '1').framed, false)
  assert.equal(lines('CONTENT-length', '1').framed, true)
  const list = lines()
  list.addParsed(fieldName('transfer-Encoding'), 'chunked')
  assert.equal(list.framed, true)
})

test('the text of a list is that of its lines, whatever was added together, replaced and removed', () => {
  const NAMES = ['A', 'b', 'X-Consumer-ID', 'x-credential-scope', 'Content-Length', 'Connection']
  const line = fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom('1', '2', 'three'))
  const step = fc.oneof(
    fc.record({ do: fc.constant('add' as const), line }),
    fc.record({ do: fc.constant('set' as const), line }),
    fc.record({ do: fc.constant('remove' as const), line }),
    fc.record({ do: fc.constant('mark' as const), line }),
    fc.record({ do: fc.constant('append' as const), lines: fc.array(line, { maxLength: 3 }), again: fc.boolean() }),
  )
  const rule = fc.property(fc.array(step, { maxLength: 12 }), fc.boolean(), (steps, withLength) => {
    const list = new HeaderList()
    for (const it of steps) {
      if (it.do === 'append') {
        const lines = new HeaderLines(it.lines.flat())
        if (it.again) lines.textForUse()
        list.append(lines)
      } else if (it.do === 'mark') list.removeMarked(IDENTITY)
      else if (it.do === 'remove') list.remove(it.line[0].toLowerCase())
      else list[it.do](...it.line)
    }
    let text = 'start'
    list.each((name, value, lower) => {
      if (withLength || lower !== 'content-length') text += `\r\n${name}: ${value}`
    })
    assert.equal(list.text('start', withLength), text)
  })
  fc.assert(rule, { numRuns: 2000 })
})
