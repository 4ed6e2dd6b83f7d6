// Kubernetes files → docker's create bodies, by tables; whatever is not carried out is refused by its path.
import { describe, expect, it } from 'vitest';
import { Pod } from 'kubernetes-models/v1/Pod';
import { parseDocuments } from '../../../host/kube/documents.ts';
import { expand } from '../../../host/kube/environment.ts';
import { Fields } from '../../../host/kube/fields.ts';
import { namesOf, readObjects } from '../../../host/kube/objects.ts';
import { infraOf } from '../../../host/kube/pod.ts';
import { readQuantity } from '../../../host/kube/quantity.ts';

type Values = Record<string, unknown>;

/** A pod of one container; the file is one that Kubernetes' own description takes. */
function podOf(container: Values, spec: Values = {}, valid = true): Values {
  const pod = {
    apiVersion: 'v1' as const,
    kind: 'Pod' as const,
    metadata: { name: 'p', labels: { app: 'a' }, annotations: { note: 'n' } },
    spec: { containers: [{ name: 'c', image: 'box', ...container }], ...spec },
  };
  if (valid) new Pod(pod as ConstructorParameters<typeof Pod>[0]).validate();
  return pod;
}

const settings = [
  { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm' }, data: { a: '1', b: '2' } },
  { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data: { pw: Buffer.from('tiger').toString('base64') } },
];

function bodyOf(container: Values, spec: Values = {}): Values & { HostConfig: Values } {
  const [pod] = readObjects([...settings, podOf(container, spec)]).pods;
  return pod!.containers[0]!.body as Values & { HostConfig: Values };
}

function reasonOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('It was not refused');
}

describe('a container', () => {
  it.each<[string, Values, Values]>([
    [
      'its words',
      { command: ['a'], args: ['$(X)', '$$(X)'], env: [{ name: 'X', value: 'y' }] },
      { Entrypoint: ['a'], Cmd: ['y', '$(X)'], Env: ['X=y'] },
    ],
    ['args alone', { args: ['b'] }, { Cmd: ['b'], Entrypoint: undefined }],
    [
      'envFrom, then env',
      { envFrom: [{ prefix: 'P_', configMapRef: { name: 'm' } }], env: [{ name: 'P_a', value: '3' }] },
      { Env: ['P_a=3', 'P_b=2'] },
    ],
    ['a secret', { env: [{ name: 'W', valueFrom: { secretKeyRef: { name: 's', key: 'pw' } } }] }, { Env: ['W=tiger'] }],
    ['what may be missing', { envFrom: [{ secretRef: { name: 'none', optional: true } }] }, { Env: [] }],
    [
      'fields of its pod',
      { env: [{ name: 'L', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } }] },
      { Env: ['L=a'] },
    ],
    ['a terminal', { tty: true, stdin: true, workingDir: '/w' }, { Tty: true, OpenStdin: true, WorkingDir: '/w' }],
    [
      'a probe of readiness',
      { readinessProbe: { exec: { command: ['a'] }, periodSeconds: 2, initialDelaySeconds: 3 } },
      {
        Healthcheck: {
          Test: ['CMD', 'a'],
          Interval: 2e9,
          StartInterval: 2e9,
          StartPeriod: 3e9,
          Timeout: 1e9,
          Retries: 3,
        },
      },
    ],
  ])('has %s', (_name, container, expected) => {
    const body = bodyOf(container);
    expect(Object.fromEntries(Object.keys(expected).map((key) => [key, body[key]]))).toEqual(expected);
  });

  it.each<[string, Values, Values]>([
    ['limits', { limits: { cpu: '500m', memory: '64Mi' } }, { NanoCpus: 5e8, CpuShares: 512, Memory: 64 << 20 }],
    ['requests', { requests: { cpu: 0.001, memory: '1k' } }, { CpuShares: 2, MemoryReservation: 1000 }],
  ])('has %s as a kubelet computes them', (_name, resources, expected) => {
    expect(bodyOf({ resources }).HostConfig).toMatchObject(expected);
  });

  it('has the security context of its pod where it has none of its own', () => {
    const spec = {
      securityContext: { runAsUser: 7, runAsGroup: 8, supplementalGroups: [9], seccompProfile: { type: 'Unconfined' } },
    };
    expect(bodyOf({}, spec)).toMatchObject({
      User: '7:8',
      HostConfig: { GroupAdd: ['9'], SecurityOpt: ['seccomp=unconfined'] },
    });
    const own = {
      runAsUser: 1,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    };
    expect(bodyOf({ securityContext: own }, spec)).toMatchObject({
      User: '1:8',
      HostConfig: { CapAdd: ['NET_ADMIN'], CapDrop: ['ALL'], ReadonlyRootfs: true, SecurityOpt: ['no-new-privileges'] },
    });
  });
});

describe('a pod', () => {
  it('is containers that share the namespaces of the first', () => {
    const [pod] = readObjects([
      podOf(
        { ports: [{ containerPort: 80, hostPort: 8080, protocol: 'UDP' }] },
        { shareProcessNamespace: true, restartPolicy: 'OnFailure' },
      ),
    ]).pods;
    expect(infraOf(pod!)).toMatchObject({
      name: 'p-infra',
      body: {
        Hostname: 'p',
        HostConfig: { NetworkMode: 'gantry-kube', PortBindings: { '80/udp': [{ HostIp: '', HostPort: '8080' }] } },
      },
    });
    const holder = 'container:p-infra';
    expect(pod!.containers[0]).toMatchObject({
      name: 'p-c',
      body: {
        HostConfig: {
          NetworkMode: holder,
          IpcMode: holder,
          UTSMode: holder,
          PidMode: holder,
          RestartPolicy: { Name: 'on-failure' },
        },
      },
    });
  });

  it("has the host's namespaces where it asks for them", () => {
    const { HostConfig } = bodyOf({}, { hostNetwork: true, hostPID: true, hostIPC: true });
    expect(HostConfig).toMatchObject({ NetworkMode: 'host', PidMode: 'host', IpcMode: 'host' });
    expect(HostConfig.UTSMode).toBeUndefined();
  });

  it('has volumes: files of settings for reading alone, claims that are kept, directories of its own', () => {
    const spec = {
      volumes: [
        {
          name: 'files',
          configMap: { name: 'm', defaultMode: 0o600, items: [{ key: 'a', path: 'x/y', mode: 0o400 }] },
        },
        { name: 'mem', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
        { name: 'data', persistentVolumeClaim: { claimName: 'claim' } },
        { name: 'host', hostPath: { path: '/h', type: 'DirectoryOrCreate' } },
      ],
    };
    const volumeMounts = ['files', 'mem', 'data', 'host'].map((name) => ({ name, mountPath: `/${name}` }));
    const [pod] = readObjects([...settings, podOf({ volumeMounts }, spec)]).pods;
    expect(pod!.volumes).toEqual([
      { name: 'p-files', options: {}, files: [{ name: 'x/y', content: Buffer.from('1'), mode: 0o400 }], kept: false },
      {
        name: 'p-mem',
        options: { type: 'tmpfs', device: 'tmpfs', o: 'mode=0777,size=1048576' },
        files: [],
        kept: false,
      },
      { name: 'claim', options: {}, files: [], kept: true },
    ]);
    expect((pod!.containers[0]!.body.HostConfig as { Mounts: object[] }).Mounts).toMatchObject([
      { Type: 'volume', Source: 'p-files', Target: '/files', ReadOnly: true },
      { Type: 'volume', Source: 'p-mem', ReadOnly: false },
      { Type: 'volume', Source: 'claim', ReadOnly: false },
      { Type: 'bind', Source: '/h', BindOptions: { CreateMountpoint: true, Propagation: 'rprivate' } },
    ]);
  });
});

/** A Deployment of one container, and a Service of it. */
const deploymentOf = (spec: Values = {}): Values => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'd' },
  spec: {
    selector: { matchLabels: { app: 'a' } },
    template: {
      metadata: { labels: { app: 'a', more: 'b' } },
      spec: { containers: [{ name: 'c', image: 'box', ports: [{ name: 'web', containerPort: 80 }] }] },
    },
    ...spec,
  },
});
const serviceOf = (spec: Values, port: Values): Values => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 's' },
  spec: { selector: { app: 'a' }, ports: [{ port: 80, ...port }], ...spec },
});

describe('a Deployment', () => {
  it.each([
    [0, []],
    [1, ['d-pod']],
    [2, ['d-pod-0', 'd-pod-1']],
  ])('of %d replicas is pods with its labels', (replicas, names) => {
    const { pods } = readObjects([deploymentOf({ replicas })]);
    expect(pods.map(({ name }) => name)).toEqual(names);
    for (const pod of pods)
      expect(infraOf(pod).body.Labels).toEqual({
        app: 'a',
        more: 'b',
        'gantry.kube.pod': pod.name,
        'gantry.kube.deployment': 'd',
      });
  });

  it.each<[Values, string]>([
    [{ selector: { matchLabels: { app: 'x' } } }, 'spec.selector.matchLabels: the template\'s labels have no "app: x"'],
    [{ strategy: { type: 'RollingUpdate' } }, 'spec.strategy.type: not carried out'],
    [{ minReadySeconds: 1 }, 'spec.minReadySeconds: not carried out'],
  ])('%j is refused', (spec, reason) => {
    expect(reasonOf(() => readObjects([deploymentOf(spec)]))).toContain(`Deployment "d": ${reason}`);
  });
});

describe('a Service', () => {
  it.each<[string, Values, Values, object, string[]]>([
    ['ClusterIP', {}, {}, {}, []],
    [
      'NodePort',
      { type: 'NodePort' },
      { targetPort: 'web', nodePort: 30080 },
      { '80/tcp': [{ HostIp: '', HostPort: '30080' }] },
      [],
    ],
    [
      'LoadBalancer',
      { type: 'LoadBalancer' },
      { port: 8080, targetPort: 'web' },
      { '80/tcp': [{ HostIp: '', HostPort: '8080' }] },
      ['Service "s": pods reach it at 80, not at 8080'],
    ],
  ])('of type %s is a name of its pods, and a port of the host', (_type, spec, port, bindings, warned) => {
    const { pods, warnings } = readObjects([serviceOf(spec, port), deploymentOf()]);
    expect(infraOf(pods[0]!).body).toMatchObject({
      HostConfig: { PortBindings: bindings },
      NetworkingConfig: { EndpointsConfig: { 'gantry-kube': { Aliases: ['d-pod', 's'] } } },
    });
    expect(warnings).toEqual(warned);
  });

  it.each<[Values, Values, string]>([
    [{}, { port: 8080, targetPort: 80 }, 'spec.ports[0].targetPort: not carried out: it differs from port'],
    [{}, { targetPort: 'x' }, 'spec.ports[0].targetPort: pod "d-pod-0" has no port "x"'],
    [{ selector: { app: 'x' } }, {}, 'spec.selector: no pod of the file has these labels'],
    [{ type: 'NodePort' }, { nodePort: 30080 }, 'spec.type: NodePort is not carried out for several pods'],
    [{ loadBalancerIP: '1.2.3.4' }, {}, 'spec.loadBalancerIP: not carried out'],
  ])('%j with %j is refused', (spec, port, reason) => {
    const text = reasonOf(() => readObjects([deploymentOf({ replicas: 2 }), serviceOf(spec, port)]));
    expect(text).toContain(`Service "s": ${reason}`);
  });
});

describe('what is refused', () => {
  it('is told by its path, all at once', () => {
    const pod = podOf(
      {
        lifecycle: { preStop: { exec: { command: ['a'] } } },
        livenessProbe: { exec: { command: ['a'] } },
        readinessProbe: { httpGet: { path: '/', port: 80 } },
        affinity: {},
      },
      { nodeSelector: { a: 'b' }, securityContext: { fsGroup: 1 }, tolerations: [] },
      false,
    );
    expect(reasonOf(() => readObjects([pod])).split('\n')).toEqual([
      'Cannot play it:',
      '  Pod "p": spec.securityContext.fsGroup: not carried out',
      '  Pod "p": spec.containers[0].readinessProbe.httpGet: not carried out',
      '  Pod "p": spec.containers[0].lifecycle: not carried out',
      '  Pod "p": spec.containers[0].livenessProbe: not carried out',
      '  Pod "p": spec.nodeSelector: not carried out',
    ]);
  });

  it.each<[string, Values, Values, string]>([
    [
      'a number for a string',
      { env: [{ name: 'A', value: 1 }] },
      {},
      'Pod "p": spec.containers[0].env[0].value: it must be a string, not 1',
    ],
    [
      'a missing Secret',
      { envFrom: [{ secretRef: { name: 'x' } }] },
      {},
      'Pod "p": spec.containers[0].envFrom[0].secretRef: there is no Secret "x"',
    ],
    [
      'a missing key',
      { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'm', key: 'z' } } }] },
      {},
      'Pod "p": spec.containers[0].env[0].valueFrom.configMapKeyRef.key: ConfigMap "m" has no key "z"',
    ],
    [
      'a volume that is not there',
      { volumeMounts: [{ name: 'v', mountPath: '/v' }] },
      {},
      'Pod "p": spec.containers[0].volumeMounts[0].name: the pod has no volume "v"',
    ],
    [
      'a path out of a volume',
      {},
      { volumes: [{ name: 'v', configMap: { name: 'm', items: [{ key: 'a', path: '../x' }] } }] },
      'Pod "p": spec.volumes[0].configMap.items[0].path: "../x" must be relative and without ".."',
    ],
    [
      'a path of the host with ".."',
      {},
      { volumes: [{ name: 'v', hostPath: { path: '/a/../b' } }] },
      'Pod "p": spec.volumes[0].hostPath.path: "/a/../b" must be absolute and without ".."',
    ],
    [
      'root that must not be',
      { securityContext: { runAsNonRoot: true, runAsUser: 0 } },
      {},
      'Pod "p": spec.containers[0].securityContext.runAsUser: it is 0, and runAsNonRoot is true',
    ],
    [
      'a quantity',
      { resources: { limits: { memory: '1Q' } } },
      {},
      'Pod "p": spec.containers[0].resources.limits.memory: "1Q" is no quantity',
    ],
    [
      'an unknown kind of volume',
      {},
      { volumes: [{ name: 'v', nfs: { server: 'a', path: '/' } }] },
      'Cannot play it:\n  Pod "p": spec.volumes[0].nfs: not carried out',
    ],
  ])('%s', (_name, container, spec, reason) => {
    expect(reasonOf(() => readObjects([...settings, podOf(container, spec, false)]))).toBe(reason);
  });

  it('a kind, a version, two of one name, and a bad Secret without its value', () => {
    expect(reasonOf(() => readObjects([{ apiVersion: 'batch/v1', kind: 'Job' }]))).toBe(
      'Cannot play a Job (document 1)',
    );
    expect(reasonOf(() => readObjects([{ ...podOf({}), apiVersion: 'v2' }]))).toContain('a Pod has "v1", not "v2"');
    expect(reasonOf(() => readObjects([podOf({}), podOf({})]))).toBe('Pod "p": it is there twice');
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data: { pw: 'tiger!' } };
    expect(reasonOf(() => readObjects([secret]))).toBe('Secret "s": data.pw: it is not base64');
  });
});

describe('YAML', () => {
  it('is read as Kubernetes reads it: octal modes, no times, several documents', () => {
    expect(parseDocuments('a: 0644\nb: 1:30\nc: 2001-01-01\n---\n---\n- yes\n', 'f')).toEqual([
      { a: 0o644, b: '1:30', c: '2001-01-01' },
      [true],
    ]);
    expect(parseDocuments('', 'f')).toEqual([]);
  });

  it.each([
    [
      'a bomb',
      `a: &a [${'x,'.repeat(9)}x]\nb: &b [${'*a,'.repeat(9)}*a]\nc: &c [${'*b,'.repeat(9)}*b]\nd: [${'*c,'.repeat(9)}*c]`,
      /alias/i,
    ],
    ['a key twice', 'a: 1\na: 2', /unique/],
    ['a tag of its own', 'a: !!js/function x', /tag/],
    ['no YAML', 'a: [1', /line|flow/i],
    ['nesting without end', '['.repeat(20_000), /Cannot read "f"/],
  ])('refuses %s', (_name, text, reason) => {
    expect(reasonOf(() => parseDocuments(text, 'f'))).toMatch(reason);
  });
});

it.each([
  ['1.5', 1.5],
  ['100m', 0.1],
  ['1e3', 1000],
  ['2Gi', 2 ** 31],
  [3, 3],
] as const)('the quantity %s is %d', (text, value) => {
  expect(readQuantity(new Fields({ q: text }, 'x:', []), 'q')).toBe(value);
});

it('variables that are not known stay as they are', () => {
  expect(expand('$(A) $(B) $$(A) $$$(A) $A', new Map([['A', '1']]))).toBe('1 $(B) $(A) $1 $A');
});

it('names are read without the rest: what is taken down need not be understood', () => {
  expect(namesOf([podOf({}, { nodeSelector: { a: 'b' } })])).toEqual({ pods: ['p'], deployments: [], claims: [] });
});
