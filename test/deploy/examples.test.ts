// The examples can be read by what reads them, and call bootstrap.sh as it is.
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { loadConfig } from '../../src/config/load.ts'

const ROOT = path.join(import.meta.dirname, '..', '..')
const EXAMPLES = path.join(ROOT, 'deploy', 'examples')
const read = (name: string): string => readFileSync(path.join(EXAMPLES, name), 'utf8')
const bootstrap = readFileSync(path.join(ROOT, 'scripts/bootstrap.sh'), 'utf8')

const SUM = '0'.repeat(64)
const MACHINE_CONFIG = ['https://mirror.example.com/corelift', '0.1.0', SUM]

function assertShell(t: Test, text: string): void {
  const [, shell = '/bin/sh'] = /^#!(\S+)/.exec(text) ?? []
  const { status, stderr } = spawnSync(shell, ['-n'], { input: text, encoding: 'utf8' })
  t.equal(status, 0, stderr)
}

function assertConfig(t: Test, text: string): void {
  const file = path.join(t.testdir({ 'config.toml': text }), 'config.toml')
  t.equal(
    loadConfig({ file, env: {}, required: ['store.url'] }).config.store.url,
    's3://my-bucket/my-cluster',
  )
}

/** The options that a text calls bootstrap.sh with are its own. */
function assertOptions(t: Test, text: string): void {
  const calls = [...text.matchAll(/^.*(?:bootstrap\.sh"?|"\$script") --.*$/gm)].map(([line]) => line)
  t.ok(calls.length > 0, 'calls bootstrap.sh')
  for (const [option] of calls.join('\n').matchAll(/--[\w-]+/g))
    t.match(bootstrap, new RegExp(`^  ${option}( |$)`, 'm'), option)
}

interface WriteFiles {
  readonly write_files: readonly { path: string; permissions: string; content: string }[]
}

t.test('cloud-init: the configuration is one, and the script runs', async t => {
  const text = read('cloud-init.yaml')
  t.match(text, /^#cloud-config\n/)
  const files = (parse(text) as WriteFiles).write_files
  const byName = (name: string) => files.find(file => path.basename(file.path) === name)
  assertConfig(t, byName('config.toml')?.content ?? '')
  t.equal(byName('credentials')?.permissions, '0600')
  const script = byName('corelift.sh')
  t.equal(script?.permissions, '0755')
  assertShell(t, script?.content ?? '')
  assertOptions(t, script?.content ?? '')
})

t.test('EKS: the user data is a MIME document with a script', async t => {
  const text = read('eks-al2023-user-data.txt')
  const [, boundary = ''] = /^Content-Type: multipart\/mixed; boundary="(.*)"$/m.exec(text) ?? []
  const [head, part = '', end] = text.split(`\n--${boundary}`)
  t.match(head, /^MIME-Version: 1\.0\n/)
  t.equal(end, '--\n')
  const [headers = '', ...body] = part.trimStart().split('\n\n')
  t.match(headers, 'Content-Type: text/x-shellscript')
  const script = body.join('\n\n')
  assertShell(t, script)
  assertOptions(t, script)
  assertConfig(t, /<<'END'\n([^]*?)^END$/m.exec(script)?.[1] ?? '')
})

interface Play {
  readonly tasks: readonly Readonly<Record<string, { cmd?: string }>>[]
}

t.test('Ansible: the playbook runs the script', async t => {
  const [play] = parse(read('ansible-playbook.yaml')) as Play[]
  const script = play?.tasks.find(task => 'ansible.builtin.script' in task)?.['ansible.builtin.script']
  assertOptions(t, script?.cmd ?? '')
})

interface MachineConfig {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> }
  readonly spec: {
    readonly config: {
      readonly storage: { files: { path: string; mode: number; contents: { source: string } }[] }
      readonly systemd: { units: { name: string; contents: string }[] }
    }
  }
}

t.test('OpenShift: the MachineConfig has the script and the configuration as they are', async t => {
  const script = path.join(EXAMPLES, 'openshift-machineconfig.sh')
  const config = path.join(EXAMPLES, 'kustomize', 'config.toml')
  const printed = execFileSync('/bin/sh', [script, config, ...MACHINE_CONFIG, 'infra'], { encoding: 'utf8' })
  const { metadata, spec } = parse(printed) as MachineConfig
  t.equal(metadata.labels['machineconfiguration.openshift.io/role'], 'infra')
  const decoded = spec.config.storage.files.map(({ path: name, mode, contents }) => {
    const [, base64 = ''] = contents.source.split(';base64,')
    return [name, mode, Buffer.from(base64, 'base64').toString()]
  })
  t.strictSame(decoded, [
    ['/etc/corelift/config.toml', 0o644, readFileSync(config, 'utf8')],
    ['/etc/corelift/bootstrap.sh', 0o755, bootstrap],
  ])
  const [unit] = spec.config.systemd.units
  assertOptions(t, unit?.contents ?? '')
  t.match(unit?.contents, `--sha256 ${SUM}`)
  t.match(unit?.contents, /^ExecStart=\/bin\/sh \/etc\/corelift\/bootstrap\.sh /m)
})

t.test('OpenShift: without its arguments it explains itself', async t => {
  const { status, stderr } = spawnSync('/bin/sh', [path.join(EXAMPLES, 'openshift-machineconfig.sh')], {
    encoding: 'utf8',
  })
  t.equal(status, 2)
  t.match(stderr, 'CONFIG MIRROR VERSION SHA256')
})

t.test('every example is explained', async t => {
  const paper = readFileSync(path.join(ROOT, 'docs/install.md'), 'utf8')
  for (const name of readdirSync(EXAMPLES)) t.ok(paper.includes(`deploy/examples/${name}`), name)
})
