// What deploy/ is applied from: the DaemonSet's manifests as kustomize makes them, and the image that they run.
import { execFileSync } from 'node:child_process'
import { accessSync, constants, cpSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { loadConfig } from '../../src/config/load.ts'
import { corePattern } from '../../src/kernel/core-pattern.ts'
import { installed } from '../lab/shell-script.ts'

const ROOT = path.join(import.meta.dirname, '..', '..')
const DEPLOY = path.join(ROOT, 'deploy')
/** Before, kustomize knew neither `labels` nor directories of resources. Debian 12 has 1.20. */
const KUBECTL_MINOR_MIN = 21

function whyNoKustomize(): string | false {
  const reason = `needs kubectl 1.${KUBECTL_MINOR_MIN}`
  const kubectl = installed('kubectl')
  if (kubectl === undefined) return reason
  const version = execFileSync(kubectl, ['version', '--client', '-o', 'json'], { encoding: 'utf8' })
  const { clientVersion } = JSON.parse(version) as { clientVersion: { minor: string } }
  return Number.parseInt(clientVersion.minor, 10) < KUBECTL_MINOR_MIN && reason
}
const skip = whyNoKustomize()

/** As far as it is looked at here. */
interface Resource {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
  readonly data?: Record<string, string>
  readonly rules?: readonly { resources: string[]; resourceNames: string[]; verbs: string[] }[]
  readonly subjects?: readonly { name: string; namespace: string }[]
  readonly spec?: { readonly template: { readonly spec: PodSpec } }
}

interface PodSpec {
  readonly serviceAccountName: string
  readonly priorityClassName: string
  readonly hostPID: boolean
  readonly tolerations: readonly object[]
  readonly containers: readonly {
    readonly image: string
    readonly env: readonly { name: string; value?: string }[]
    readonly volumeMounts: readonly { name: string; mountPath: string }[]
    readonly readinessProbe: { readonly exec: { readonly command: readonly string[] } }
  }[]
  readonly volumes: readonly { name: string; configMap?: { name: string } }[]
}

const resourcesIn = (text: string): Resource[] =>
  parseAllDocuments(text).map(document => document.toJS() as Resource)

/** @param directory - Below `deploy`, which is the project's or a copy of it. */
function kustomize(directory: string, deploy = DEPLOY): Resource[] {
  const args = ['kustomize', path.join(deploy, directory)]
  return resourcesIn(execFileSync('kubectl', args, { encoding: 'utf8' }))
}

/** As they are written. */
function baseResources(): Resource[] {
  const base = path.join(DEPLOY, 'kustomize', 'base')
  const kustomization = readFileSync(path.join(base, 'kustomization.yaml'), 'utf8')
  const { resources } = parse(kustomization) as { resources: string[] }
  return resources.flatMap(name => resourcesIn(readFileSync(path.join(base, name), 'utf8')))
}

function only(resources: readonly Resource[], kind: string, name?: string): Resource {
  const found = resources.filter(
    each => each.kind === kind && (name ?? each.metadata.name) === each.metadata.name,
  )
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} of kind ${kind}`)
  return found[0]
}

function podOf(resources: readonly Resource[]): PodSpec {
  const spec = only(resources, 'DaemonSet').spec?.template.spec
  if (spec === undefined) throw new Error('no pod')
  return spec
}

const variable = (pod: PodSpec, name: string) =>
  pod.containers[0]?.env.find(each => each.name === name)?.value

t.test('the example runs its image on every node, and its own configuration is one', { skip }, async t => {
  const resources = kustomize('examples/kustomize')
  const pod = podOf(resources)
  t.equal(pod.containers[0]?.image, 'registry.example.com/corelift:0.1.0')
  t.strictSame(pod.tolerations, [{ operator: 'Exists' }])
  t.equal(pod.hostPID, true)
  t.equal(pod.priorityClassName, only(resources, 'PriorityClass').metadata.name)
  const config = only(resources, 'ConfigMap')
  t.equal(pod.volumes.find(({ configMap }) => configMap)?.configMap?.name, config.metadata.name)
  const file = path.join(t.testdir({ 'config.toml': config.data?.['config.toml'] ?? '' }), 'config.toml')
  t.equal(
    loadConfig({ file, env: {}, required: ['store.url'] }).config.store.url,
    's3://my-bucket/my-cluster',
  )
})

t.test('a changed configuration is another pod template: it is rolled out', { skip }, async t => {
  const deploy = path.join(t.testdir({}), 'deploy')
  cpSync(DEPLOY, deploy, { recursive: true })
  const configOf = () => podOf(kustomize('examples/kustomize', deploy)).volumes[0]?.configMap?.name
  const before = configOf()
  t.match(before, /^corelift-config-\w+$/)
  writeFileSync(path.join(deploy, 'examples/kustomize/config.toml'), '[store]\nurl = "s3://other"\n')
  t.not(configOf(), before)
})

t.test('installers may ask for their own DaemonSet and namespace, and for nothing else', async t => {
  const resources = baseResources()
  const daemonset = only(resources, 'DaemonSet').metadata.name
  const namespace = only(resources, 'Namespace').metadata.name
  t.equal(variable(podOf(resources), 'CORELIFT_DAEMONSET'), daemonset)
  t.strictSame(only(resources, 'Role').rules, [
    { apiGroups: ['apps'], resources: ['daemonsets'], resourceNames: [daemonset], verbs: ['get'] },
    { apiGroups: [''], resources: ['namespaces'], resourceNames: [namespace], verbs: ['get'] },
  ])
  t.strictSame(only(resources, 'RoleBinding').subjects, [
    { kind: 'ServiceAccount', name: podOf(resources).serviceAccountName, namespace },
  ])
})

t.test('what the entrypoint looks for is where the manifest puts it', async t => {
  const [container] = podOf(baseResources()).containers
  const entrypoint = readFileSync(path.join(ROOT, 'deploy/image/entrypoint.sh'), 'utf8')
  const defaults = [...entrypoint.matchAll(/\$\{CORELIFT_\w+:-(\/\w+)\/?.*\}$/gm)].map(([, place]) => place)
  for (const { mountPath } of container?.volumeMounts ?? []) t.ok(defaults.includes(mountPath), mountPath)
  t.ok(entrypoint.includes(container?.readinessProbe.exec.command.at(-1) ?? 'nothing'))
  for (const { name } of container?.env ?? []) t.ok(entrypoint.includes(name), name)
})

t.test(
  'Container-Optimized OS: the binary goes where programs may run, and fits core_pattern',
  { skip },
  async t => {
    const prefix = variable(podOf(kustomize('kustomize/overlays/gke-cos')), 'CORELIFT_PREFIX') ?? ''
    t.match(prefix, /^\/var\/lib\/(google|docker|toolbox)\//)
    t.doesNotThrow(() => corePattern([`${prefix}/bin/corelift`, 'handle']))
  },
)

t.test('OpenShift: the account of the pods may be privileged', { skip }, async t => {
  const resources = kustomize('kustomize/overlays/openshift')
  const { metadata } = only(resources, 'DaemonSet')
  const subject = { name: podOf(resources).serviceAccountName, namespace: metadata.namespace }
  t.match(only(resources, 'RoleBinding', 'corelift-privileged').subjects, [subject])
})

t.test('the image is made of files that are there, and of no others', async (t: Test) => {
  const [, copied = ''] = /^COPY (.*) \/opt\/corelift\/$/m.exec(read('deploy/image/Dockerfile')) ?? []
  const files = copied.split(' ')
  t.strictSame(read('deploy/image/Dockerfile.dockerignore').trim().split('\n').sort(), [
    ...files.map(file => `!${file}`).sort(),
    '*',
  ])
  for (const file of files.filter(name => !name.startsWith('dist/')))
    t.doesNotThrow(() => accessSync(path.join(ROOT, file), constants.X_OK), file)
  const entrypoint = read('deploy/image/entrypoint.sh')
  for (const file of files.filter(name => !name.endsWith('entrypoint.sh')))
    t.ok(entrypoint.includes(`"$HERE/${path.basename(file)}"`), file)
})

function read(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8')
}
