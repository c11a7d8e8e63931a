// What CRI-O writes of a container into its OCI configuration: constants of pkg/annotations in CRI-O. The kubelet's names
// come last there, so that no annotation of a pod's replaces them; of the rest, a pod's author may have replaced what is
// on the pod's own container (the sandbox).
import { CONTAINER_ID, SANDBOX_CONTAINER } from './forms.ts'
import type { RawFacts } from './forms.ts'
import { isSamePod, peoplesLabels, podOf } from './kubernetes.ts'
import type { Values } from './kubernetes.ts'
import { jsonObject } from './runtime-file.ts'

const CRIO = 'io.kubernetes.cri-o.'

/**
 * Reads a container's annotations, and those of its pod's sandbox.
 * @param readAnnotations - Gives the annotations of another container; none where they cannot be had.
 */
export async function crioFacts(
  annotations: Values,
  readAnnotations: (containerId: string) => Promise<Values>,
): Promise<RawFacts> {
  const names = podOf(annotations)
  const pod = names.pod ?? { namespace: undefined, pod: undefined, podUid: undefined }
  if (names.container === SANDBOX_CONTAINER)
    // Its log is not told: the path is a pod's word here, and root would read it.
    return { pod, container: SANDBOX_CONTAINER, ...labelsOf(annotations) }

  const crio = (key: string) => annotations[CRIO + key]
  const sandboxId = crio('SandboxID')
  const ofSandbox =
    typeof sandboxId === 'string' && CONTAINER_ID.test(sandboxId) ? await readAnnotations(sandboxId) : {}
  return {
    pod,
    container: names.container ?? '',
    // What the kubelet asked for may be an id; the name is absent where the image has none.
    image: crio('ImageName') || crio('Image'),
    imageDigest: crio('ImageRef'),
    restartCount: attemptOf(crio('Metadata')),
    logPath: crio('LogPath'),
    sandboxId,
    ...(isSamePod(annotations, ofSandbox) ? labelsOf(ofSandbox) : {}),
  }
}

/** A pod's labels and annotations, which are JSON texts on its sandbox. */
function labelsOf(annotations: Values): Pick<RawFacts, 'labels' | 'annotations'> {
  const labels = textObject(annotations[`${CRIO}Labels`])
  return {
    labels: labels && peoplesLabels(labels),
    annotations: textObject(annotations[`${CRIO}Annotations`]),
  }
}

/** The CRI's ContainerMetadata as JSON; an attempt of 0 is left out. */
function attemptOf(metadata: unknown): unknown {
  const object = textObject(metadata)
  return object && (object['attempt'] ?? 0)
}

function textObject(text: unknown): Values | undefined {
  return typeof text === 'string' ? jsonObject(text) : undefined
}
