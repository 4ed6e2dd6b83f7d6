// Pods of Kubernetes files: containers that share namespaces, in their order, with their files; taken down without a trace.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

/** One container that stays, and what else a pod has. */
const podOf = (name: string, container: string, spec = ''): string => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: box, command: [sleep, "600"], ${container}}
${spec}
`;

describe.skipIf(whyNoContainers())('a pod', () => {
  const here = createInstallation();
  const { gantry, ok, pipe } = here;
  const directory = mkdtempSync(join(tmpdir(), 'gantry-kube-'));
  const play = (text: string, ...flags: string[]) => pipe(text, 'kube', 'play', ...flags, '-');
  const down = (text: string, ...flags: string[]) => pipe(text, 'kube', 'down', ...flags, '-');
  const sh = (container: string, script: string): Promise<string> => ok('exec', container, 'sh', '-c', script);
  const played = async (text: string, ...flags: string[]): Promise<void> =>
    expect(await play(text, ...flags)).toMatchObject({ status: 0, stderr: '' });
  /** Containers, volumes, networks: by name. */
  const left = async (): Promise<string> =>
    [
      await ok('ps', '-a', '--format', '{{.Names}}'),
      await ok('volume', 'ls', '-q'),
      await ok('network', 'ls', '-q', '-f', 'type=custom'),
    ]
      .filter(Boolean)
      .join('\n');

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    for (const path of [tree, dirname(archive)]) rmSync(path, { recursive: true });
  });
  afterAll(async () => {
    await here.close();
    rmSync(directory, { recursive: true });
  });

  it('runs whole: settings as variables and files, initContainers in order, one network, ports, limits, a claim that stays', async () => {
    const port = await freePort();
    const file = join(directory, 'web.yaml');
    writeFileSync(
      file,
      `
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {greeting: hello, page.html: "a page"}
---
apiVersion: v1
kind: Secret
metadata: {name: sec}
stringData: {password: tiger}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  shareProcessNamespace: true
  hostAliases: [{ip: 10.9.8.7, hostnames: [elsewhere]}]
  initContainers:
  - {name: one, image: box, command: [sh, -c, "echo one >> /scratch/log"], volumeMounts: [{name: scratch, mountPath: /scratch}]}
  - {name: two, image: box, command: [sh, -c, "echo two >> /scratch/log"], volumeMounts: [{name: scratch, mountPath: /scratch}]}
  containers:
  - name: server
    image: box
    command: [httpd, -f, -p, "8080", -h, /www]
    ports: [{containerPort: 8080, hostPort: ${port}, hostIP: 127.0.0.1}]
    volumeMounts: [{name: conf, mountPath: /www}, {name: data, mountPath: /data}, {name: mem, mountPath: /mem}]
  - name: client
    image: box
    command: [sleep, "600"]
    env:
    - {name: GREETING, valueFrom: {configMapKeyRef: {name: conf, key: greeting}}}
    - {name: PASS, valueFrom: {secretKeyRef: {name: sec, key: password}}}
    - {name: BOTH, value: "$(GREETING) $$(X)"}
    securityContext: {runAsUser: 1000, runAsGroup: 1001, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    resources: {limits: {memory: 64Mi, cpu: 500m}}
    readinessProbe: {exec: {command: [test, -e, /mem/note]}, periodSeconds: 1}
    volumeMounts:
    - {name: scratch, mountPath: /scratch}
    - {name: sec, mountPath: /sec}
    - {name: mem, mountPath: /mem}
    - {name: conf, mountPath: /etc/greeting, subPath: greeting}
  volumes:
  - {name: scratch, emptyDir: {}}
  - {name: mem, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: conf, configMap: {name: conf}}
  - {name: sec, secret: {secretName: sec, items: [{key: password, path: deep/pw, mode: 0444}]}}
  - {name: data, persistentVolumeClaim: {claimName: data}}
`,
    );
    const told = await gantry('kube', 'play', file);
    expect(told).toMatchObject({ status: 0, stderr: '' });
    expect(told.stdout).toMatch(/^Pod:\n[0-9a-f]{64}\nContainers:\n[0-9a-f]{64}\n[0-9a-f]{64}\n\n$/);
    expect(
      await sh(
        'web-client',
        'echo $GREETING, $PASS, $BOTH; cat /scratch/log /sec/deep/pw /etc/greeting; echo; id; hostname',
      ),
    ).toBe('hello, tiger, hello $(X)\none\ntwo\ntigerhello\nuid=1000(user) gid=1001 groups=1001\nweb');
    expect(await sh('web-client', 'wget -qO- http://127.0.0.1:8080/page.html; pidof httpd | wc -w')).toBe('a page1');
    expect(await (await fetch(`http://127.0.0.1:${port}/page.html`)).text()).toBe('a page');
    // What both share, what nobody may write, and what the limits are.
    await sh('web-client', 'echo shared > /mem/note; echo mine > /scratch/own');
    expect(await sh('web-server', 'cat /mem/note; df -k /mem | tail -1 | tr -s " " | cut -d" " -f2')).toBe(
      'shared\n1024',
    );
    expect((await gantry('exec', '-u', '0', 'web-client', 'sh', '-c', 'echo x > /sec/deep/pw')).stderr).toContain(
      'Read-only',
    );
    expect((await gantry('exec', 'web-client', 'touch', '/x')).stderr).toContain('Read-only');
    expect(await sh('web-client', 'grep -h "Cap[EB]\\|NoNewPrivs" /proc/self/status | tr -s "\\t\\n" " "')).toBe(
      'CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 ',
    );
    expect(await sh('web-client', 'grep elsewhere /etc/hosts')).toMatch(/^10\.9\.8\.7\s+elsewhere$/);
    expect(
      await ok(
        'inspect',
        '-f',
        '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.CpuShares}} {{.HostConfig.RestartPolicy.Name}}',
        'web-client',
      ),
    ).toBe(`${64 << 20} 500000000 512 always`);
    await until(async () => (await ok('ps', '-q', '-f', 'health=healthy')).length === 12, 'the client to be ready');
    expect(await ok('inspect', '-f', '{{index .Config.Labels "app"}}', 'web-server')).toBe('web');
    // The same again is refused; --replace makes it new, with the claim's files and without the others.
    await sh('web-server', 'echo kept > /data/file');
    expect((await gantry('kube', 'play', file)).stderr).toBe(
      'gantry: Cannot play pod "web": it exists\nHint: Replace it with --replace, or remove it: gantry kube down FILE\n',
    );
    expect(await gantry('kube', 'play', '--replace', file)).toMatchObject({ status: 0, stderr: '' });
    expect(await sh('web-server', 'cat /data/file; ls /mem')).toBe('kept');
    expect(await sh('web-client', 'cat /scratch/*')).toBe('one\ntwo');
    expect((await gantry('kube', 'down', file)).stdout).toMatch(/^Pods stopped:\n([0-9a-f]{64}\n)Pods removed:\n\1$/);
    expect(await left()).toBe('data');
    expect((await gantry('kube', 'down', '--force', file)).stdout).toBe(
      'Pods stopped:\nPods removed:\nVolumes removed:\ndata\n',
    );
    expect(await left()).toBe('');
  });

  it('finds others by their names, and may be made without being started', async () => {
    const text = `${podOf('first', 'tty: false')}---${podOf('second', 'tty: false')}`;
    await played(text, '--start=false');
    expect(await ok('ps', '-q')).toBe('');
    await ok('start', 'first-infra', 'second-infra', 'first-main', 'second-main');
    expect(await sh('first-main', 'ping -c 1 -w 5 second > /dev/null && echo there')).toBe('there');
    expect(await down(text)).toMatchObject({ status: 0, stderr: '' });
    expect(await left()).toBe('');
  });

  it('of a Deployment comes as often as it says; a Service is its name and its port of the host', async () => {
    const port = await freePort();
    const web = (replicas: number, type: string, ports: string): string => `
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {type: ${type}, selector: {app: web}, ports: [{${ports}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: server
        image: box
        command: [sh, -c, "hostname > /tmp/name; exec httpd -f -p 8080 -h /tmp"]
        ports: [{name: http, containerPort: 8080}]
`;
    const client = podOf('client', 'tty: false');
    await played(`${web(2, 'ClusterIP', 'port: 8080')}---${client}`);
    expect(await sh('client-main', 'for pod in web-pod-0 web-pod-1; do wget -qO- http://$pod:8080/name; done')).toBe(
      'web-pod-0\nweb-pod-1',
    );
    expect(await sh('client-main', 'wget -qO- http://front:8080/name')).toMatch(/^web-pod-[01]$/);
    expect(await sh('client-main', 'nslookup -type=a front | grep -c "^Address: "')).toBe('2');
    // Fewer than there are: those that are not in the file any more go, too.
    const one = web(1, 'NodePort', `port: 8080, targetPort: http, nodePort: ${port}`);
    await played(one, '--replace');
    expect(await ok('ps', '--format', '{{.Names}}', '-f', 'label=app=web')).toBe('web-pod-server\nweb-pod-infra');
    expect(await (await fetch(`http://127.0.0.1:${port}/name`)).text()).toBe('web-pod\n');
    expect(await down(`${web(5, 'ClusterIP', 'port: 8080')}---${client}`)).toMatchObject({ status: 0 });
    expect(await left()).toBe('');
  });

  it('that fails to begin is taken back, with what it said', async () => {
    const init = (script: string): string =>
      `  initContainers:\n  - {name: bad, image: box, command: [sh, -c, "${script}"]}`;
    expect(await play(podOf('ill', 'tty: false', init('echo no luck >&2; exit 3')))).toMatchObject({
      status: 1,
      stdout: '',
      stderr:
        'gantry: Init container "ill-bad" ended with status 3:\n  no luck\nHint: The pod has been removed; it starts when all its initContainers end with 0\n',
    });
    expect((await play(podOf('ill', 'securityContext: {runAsNonRoot: true}'))).stderr).toMatch(
      /^gantry: Cannot run "ill-main": runAsNonRoot is true, and the user of "box" is root\nHint: /,
    );
    expect((await play(podOf('ill', 'livenessProbe: {exec: {command: [a]}}'))).stderr).toContain(
      '\n  Pod "ill": spec.containers[0].livenessProbe: not carried out\n',
    );
    expect(await left()).toBe('');
  });

  it("has the host's directories by their type, and no file of a ConfigMap ever follows a link to the host", async () => {
    const shared = join(directory, 'shared');
    const volume = (type: string, path: string): string =>
      `  volumes: [{name: v, hostPath: {path: ${path}, type: ${type}}}]`;
    const mount = 'volumeMounts: [{name: v, mountPath: /v}]';
    expect((await play(podOf('h', mount, volume('Directory', shared)))).stderr).toContain(`"${shared}" is not there`);
    await played(podOf('h', mount, volume('DirectoryOrCreate', shared)));
    await sh('h-main', 'echo from inside > /v/note');
    expect(readFileSync(join(shared, 'note'), 'utf8')).toBe('from inside\n');
    expect((await play(podOf('h2', mount, volume('File', shared)))).stderr).toContain(`"${shared}" is not a file`);
    // A dangling link is not made into a file where it leads.
    const outside = join(directory, 'outside');
    symlinkSync(outside, join(shared, 'link'));
    expect((await play(podOf('h2', mount, volume('FileOrCreate', join(shared, 'link'))))).stderr).toContain('EEXIST');
    expect(() => readFileSync(outside)).toThrow('ENOENT');
    await down(podOf('h', mount));
    // A volume that waits for the pod, with a link where a file is to be.
    const victim = join(directory, 'victim');
    mkdirSync(victim);
    writeFileSync(join(victim, 'key'), 'untouched');
    const attacked = `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {key: overwritten}\n---${podOf('a', mount, '  volumes: [{name: v, configMap: {name: m}}]')}`;
    const trap = `ln -s ${victim}/key /t/key; ln -s ${victim} /t/dir`;
    await ok('run', '--rm', '--network', 'none', '-v', 'a-v:/t', 'box', 'sh', '-c', trap);
    expect((await play(attacked)).stderr).toContain(
      'Cannot make volume "a-v" for pod "a": there is another of that name',
    );
    await ok('volume', 'rm', 'a-v');
    // The same with a volume that says it is the pod's own: it is made anew.
    await ok('volume', 'create', '--label', 'gantry.kube.pod=a', 'a-v');
    await ok('run', '--rm', '--network', 'none', '-v', 'a-v:/t', 'box', 'sh', '-c', trap);
    await played(attacked);
    expect(await sh('a-main', 'cat /v/key; ls /v')).toBe('overwrittenkey');
    expect(readFileSync(join(victim, 'key'), 'utf8')).toBe('untouched');
    await down(attacked);
    expect(await left()).toBe('');
  });
});
