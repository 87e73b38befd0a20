import { runProgram } from './program.ts'

const code = await runProgram(process.argv.slice(2), {
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`${line}\n`),
  env: process.env,
  cwd: process.cwd(),
})
// A timer or a socket that something forgot must not keep a process alive that has done its work.
process.exit(code)
