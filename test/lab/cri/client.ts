// A client of the Container Runtime Interface, for the few calls of cri.proto.
import { credentials, loadPackageDefinition } from '@grpc/grpc-js'
import type { ServiceError } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { fileURLToPath } from 'node:url'

export interface PodSandboxConfig {
  readonly metadata: {
    readonly name: string
    readonly uid: string
    readonly namespace: string
    readonly attempt: number
  }
  readonly hostname: string
  readonly log_directory: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly linux: { readonly cgroup_parent: string; readonly security_context: object }
}

export interface ContainerConfig {
  readonly metadata: { readonly name: string; readonly attempt: number }
  readonly image: { readonly image: string }
  readonly command: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly log_path: string
  readonly linux: { readonly security_context: object }
}

export interface ContainerStatusResponse {
  readonly status: { readonly state: string; readonly exit_code?: number; readonly reason?: string }
  readonly info: Readonly<Record<string, string>>
}

export interface ExecSyncResponse {
  readonly stdout?: Buffer
  readonly stderr?: Buffer
  readonly exit_code?: number
}

type Call<Request, Response> = (
  request: Request,
  callback: (error: ServiceError | null, response: Response) => void,
) => void

interface RuntimeService {
  readonly RunPodSandbox: Call<{ config: PodSandboxConfig }, { pod_sandbox_id: string }>
  readonly StopPodSandbox: Call<{ pod_sandbox_id: string }, object>
  readonly RemovePodSandbox: Call<{ pod_sandbox_id: string }, object>
  readonly CreateContainer: Call<
    { pod_sandbox_id: string; config: ContainerConfig; sandbox_config: PodSandboxConfig },
    { container_id: string }
  >
  readonly StartContainer: Call<{ container_id: string }, object>
  readonly ContainerStatus: Call<{ container_id: string; verbose: boolean }, ContainerStatusResponse>
  readonly ExecSync: Call<{ container_id: string; cmd: readonly string[]; timeout: number }, ExecSyncResponse>
  close(): void
}

type Method = Exclude<keyof RuntimeService, 'close'>
type RequestOf<M extends Method> = RuntimeService[M] extends Call<infer Request, infer _> ? Request : never
type ResponseOf<M extends Method> = RuntimeService[M] extends Call<infer _, infer Response> ? Response : never

export interface CriClient {
  call<M extends Method>(method: M, request: RequestOf<M>): Promise<ResponseOf<M>>
  close(): void
}

/** Connects to a runtime's socket; the connection is made with the first call. */
export function connectCri(socketPath: string): CriClient {
  const proto = fileURLToPath(new URL('cri.proto', import.meta.url))
  const definition = loadSync(proto, { keepCase: true, enums: String })
  const { runtime } = loadPackageDefinition(definition) as unknown as {
    runtime: {
      v1: { RuntimeService: new (address: string, credentials: unknown) => RuntimeService }
    }
  }
  const service = new runtime.v1.RuntimeService(`unix://${socketPath}`, credentials.createInsecure())
  return {
    call: (method, request) =>
      new Promise((resolve, reject) => {
        const invoke = service[method].bind(service) as Call<unknown, ResponseOf<typeof method>>
        invoke(request, (error, response) => {
          if (error) reject(error)
          else resolve(response)
        })
      }),
    close: () => service.close(),
  }
}
