import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startEchoUpstream } from '../../demo/echo-upstream.ts'
import { temporaryFolder } from '../support/temp.ts'
import { builtInCommandLine, missingPrograms, realCommandLine } from './command-line.ts'

const basic = `Basic ${Buffer.from('john:doe').toString('base64')}`

for (const kind of missingPrograms().length === 0 ? ['real', 'built-in'] : ['built-in']) {
  test(`a command line of HTTPie makes the same request by the ${kind} driver`, async () => {
    await using folder = await temporaryFolder()
    await using upstream = await startEchoUpstream()
    await using commandLine = kind === 'real' ? await realCommandLine(folder.path) : builtInCommandLine()
    const { port } = upstream

    const form = await commandLine.run(`http -f put :${port}/anything/a url=http://b.test:80/c?d=e list=1 list=2`)
    assert.equal(form.status, 200)
    assert.equal(form.json?.['method'], 'PUT')
    assert.deepEqual(form.json?.['form'], { url: 'http://b.test:80/c?d=e', list: ['1', '2'] })

    const get = await commandLine.run(`http :${port}/anything/a`)
    assert.equal(get.json?.['method'], 'GET')
    assert.equal(get.json?.['data'], '')
    assert.match(get.headers['content-type'] ?? '', /^application\/json/)

    const header = await commandLine.run(`http -v :${port}/anything Authorization:"Bearer a.b-c=="`)
    assert.equal(header.json?.['headers']?.['Authorization'], 'Bearer a.b-c==')

    const nested = await commandLine.run(
      `http -v :${port}/anything X-Seen:"$(http -a john:doe :${port}/anything | jq -r .headers.Authorization)"`,
    )
    assert.equal(nested.json?.['headers']?.['X-Seen'], basic)
    assert.equal(upstream.requests.length, 5)

    assert.equal((await commandLine.run(`http :${port}/status/401`)).status, 401)
  })
}
