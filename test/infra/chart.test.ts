// Minutes: Helm and a validator of Kubernetes run once for each set of values and for each mistake in them.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describeConfig, readConfig } from "@loc2vec/core";
import { openQueues } from "@loc2vec/queue";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { CHART, type Checked, check, findHelm, type KubeObject, ROOT, template } from "./helm.ts";

const VALUES = readdirSync(join(CHART, "ci")).map((file) => file.replace("-values.yaml", ""));
/** `work --grace 20`, and what a worker may take beyond it for its last location. */
const WORKER_ENDS_WITHIN = 25;

type Labels = Record<string, string>;
interface EnvVar {
  name: string;
  value?: string;
  valueFrom?: { secretKeyRef?: { name: string; key: string } };
}
interface Container {
  name: string;
  image: string;
  args: string[];
  env: EnvVar[];
  securityContext: Record<string, unknown>;
  resources: { requests?: Labels; limits?: Record<string, string | number> };
  volumeMounts: { mountPath: string }[];
}
interface PodSpec {
  containers: Container[];
  initContainers?: Container[];
  securityContext: Record<string, unknown>;
  automountServiceAccountToken: boolean;
  enableServiceLinks: boolean;
  terminationGracePeriodSeconds: number;
  tolerations?: { key: string }[];
  affinity?: { nodeAffinity?: Record<string, unknown> };
}
interface Pod {
  owner: KubeObject;
  labels: Labels;
  spec: PodSpec;
}

const rendered = new Map<string, Checked>();
let helm: string;

beforeAll(async () => {
  helm = await findHelm();
  for (const name of VALUES) {
    const yaml = await template(helm, ["--values", join(CHART, `ci/${name}-values.yaml`)]);
    rendered.set(name, await check(inject("python"), yaml));
  }
}, 1_200_000);

const objectsOf = (name: string): KubeObject[] => (rendered.get(name) as Checked).objects;
const ofKind = (name: string, kind: string): KubeObject[] =>
  objectsOf(name).filter((each) => each.kind === kind);
const component = ({ metadata }: KubeObject): string | undefined =>
  metadata.labels?.["app.kubernetes.io/component"];

function pods(name: string): Pod[] {
  return objectsOf(name).flatMap((owner) => {
    const template = owner.spec?.template as { metadata: { labels: Labels }; spec: PodSpec } | undefined;
    return template === undefined ? [] : [{ owner, labels: template.metadata.labels, spec: template.spec }];
  });
}

const podOf = (name: string, which: string): Pod =>
  pods(name).find(({ owner }) => component(owner) === which) as Pod;
const containers = (name: string): Container[] => pods(name).flatMap(({ spec }) => spec.containers);
const selects = (selector: Labels, labels: Labels): boolean =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);

test("what the checks refuse", async () => {
  const bad = `
apiVersion: v1
kind: Service
metadata: { name: a }
spec: { ports: [{ port: http }] }
---
apiVersion: v1
kind: Service
metadata: { name: typo }
spec: { ports: [{ port: 80 }], selectors: {} }
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: { name: b }
spec: { scaleTargetRef: { name: b }, minReplicas: 0, triggers: [{ type: redis, metadata: { listLength: 5 } }] }
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: { name: c }
spec: { groups: [{ name: c, rules: [{ alert: c }] }] }
---
apiVersion: extensions/v1beta1
kind: Ingress
metadata: { name: d }
`;
  const { problems } = await check(inject("python"), bad);
  for (const said of [
    /^Service a: .*http/,
    /^Service typo: .*selectors/,
    /^ScaledObject b: .*minReplicas/,
    /^ScaledObject b: .*listLength/,
    /^PrometheusRule c: .*expr/,
    /^Ingress d: /,
  ]) {
    expect(problems).toContainEqual(expect.stringMatching(said));
  }
  await expect(check(inject("python"), "a: 1\na: 2\n")).rejects.toThrow("given twice");
});

describe.each(VALUES)("with the values %s", (name) => {
  test("every object fits its schema, and no two have one name", () => {
    const { objects, problems } = rendered.get(name) as Checked;
    expect(problems).toEqual([]);
    expect(objects.length).toBeGreaterThan(2);
    const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
    for (const { metadata } of objects) expect(metadata.name.length).toBeLessThanOrEqual(63);
  });

  test("no pod runs as root, writes to its root, has a token, or comes without requests", () => {
    expect(pods(name).length).toBeGreaterThan(0);
    for (const { owner, spec } of pods(name)) {
      const who = `${owner.kind} ${owner.metadata.name}`;
      expect(spec.securityContext, who).toMatchObject({
        runAsNonRoot: true,
        runAsUser: 10001,
        seccompProfile: { type: "RuntimeDefault" },
      });
      expect(spec.automountServiceAccountToken, who).toBe(false);
      // Variables of a service named farm-… would be settings that the farm does not know.
      expect(spec.enableServiceLinks, who).toBe(false);
      expect(spec.initContainers, who).toBeUndefined();
      for (const { securityContext, resources, volumeMounts, image } of spec.containers) {
        expect(securityContext, who).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
        expect(Object.keys(resources.requests ?? {}), who).toEqual(expect.arrayContaining(["cpu", "memory"]));
        expect(resources.limits, who).toHaveProperty("memory");
        expect(resources.limits, who).not.toHaveProperty("cpu");
        expect(volumeMounts.map((mount) => mount.mountPath)).toEqual(
          expect.arrayContaining(["/tmp", "/var/lib/loc2vec"]),
        );
        expect(image, who).toMatch(/(:\d+\.\d+\.\d+|@sha256:[0-9a-f]{64})$/);
      }
    }
  });

  test("secrets are references, and every setting is one that the farm knows", () => {
    const known = new Set([...describeConfig(readConfig(ROOT, {})).map((setting) => setting.env)]);
    for (const { env } of containers(name)) {
      expect(new Set(env.map((each) => each.name)).size).toBe(env.length);
      for (const each of env) {
        if (each.name.startsWith("FARM_")) expect(known).toContain(each.name);
        if (/PASSWORD|SECRET|ACCESS_KEY|TOKEN|(REDIS|DATABASE)_URL/.test(each.name)) {
          expect(each.valueFrom?.secretKeyRef, each.name).toMatchObject({ name: expect.any(String) });
        }
        expect(each.value ?? "", each.name).not.toMatch(/:\/\/[^/]*:[^/]*@/);
      }
    }
    expect(ofKind(name, "Secret")).toEqual([]);
  });

  test("selectors select: deployments, services, budgets, scalers and monitors find what they are for", () => {
    const labels = pods(name).map((pod) => pod.labels);
    for (const each of objectsOf(name)) {
      const who = `${each.kind} ${each.metadata.name}`;
      const spec = each.spec as { selector?: Labels & { matchLabels?: Labels } } | undefined;
      if (each.kind === "Deployment") {
        const own = pods(name).find(({ owner }) => owner === each) as Pod;
        expect(selects(spec?.selector?.matchLabels as Labels, own.labels), who).toBe(true);
      }
      if (["Deployment", "PodDisruptionBudget", "Service"].includes(each.kind)) {
        const selector = (spec?.selector?.matchLabels ?? spec?.selector) as Labels;
        expect(
          labels.filter((found) => selects(selector, found)),
          who,
        ).toHaveLength(1);
      }
      if (each.kind === "ScaledObject" || each.kind === "HorizontalPodAutoscaler") {
        const target = (each.spec as { scaleTargetRef: { name: string } }).scaleTargetRef.name;
        const deployment = ofKind(name, "Deployment").find((found) => found.metadata.name === target);
        expect(deployment, who).toBeDefined();
        // Else Helm and KEDA would fight for the number at every upgrade.
        expect(deployment?.spec, who).not.toHaveProperty("replicas");
      }
      if (each.kind === "ServiceMonitor") {
        const found = ofKind(name, "Service").filter((service) =>
          selects(spec?.selector?.matchLabels as Labels, service.metadata.labels ?? {}),
        );
        expect(found, who).toHaveLength(1);
      }
    }
  });
});

test("a worker has the time to end, and says how long it takes", () => {
  const { spec } = podOf("default", "worker");
  const args = spec.containers[0]?.args as string[];
  expect(args).toEqual([..."work --until forever --queues raster,finalize --grace 20".split(" ")]);
  expect(spec.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(WORKER_ENDS_WITHIN + 15);
});

test("the trainer: a GPU or none, where it may run, and what it gets", () => {
  const gpu = podOf("gpu", "trainer").spec;
  expect(gpu.containers[0]).toMatchObject({
    image: "loc2vec-farm/trainer-gpu:0.1.0",
    resources: { limits: { "nvidia.com/gpu": 2, memory: "8Gi" } },
  });
  expect(gpu.tolerations?.map((each) => each.key)).toEqual(
    expect.arrayContaining(["dedicated", "nvidia.com/gpu", "cloud.google.com/gke-spot"]),
  );
  expect(gpu.affinity?.nodeAffinity).toHaveProperty("requiredDuringSchedulingIgnoredDuringExecution");
  const cpu = podOf("cpu-trainer", "trainer").spec;
  expect(cpu.containers[0]?.image).toBe("loc2vec-farm/trainer:0.1.0");
  expect(cpu.containers[0]?.resources.limits).toEqual({ memory: "8Gi" });
  expect(cpu.containers[0]?.env.map((each) => each.name)).not.toContain("FARM_DATABASE_URL");
  expect(cpu.tolerations).toBeUndefined();
  expect(cpu.affinity).toBeUndefined();
  expect(ofKind("bare", "Deployment").map(component)).toEqual(["worker"]);
});

test("the import may have a database of its own", () => {
  const secret = (name: string, which: string) =>
    podOf(name, which).spec.containers[0]?.env.find((each) => each.name === "FARM_DATABASE_URL")?.valueFrom;
  expect(secret("everything", "import")).toEqual({
    secretKeyRef: { name: "primary", key: "FARM_DATABASE_URL" },
  });
  expect(secret("everything", "worker")).toEqual({
    secretKeyRef: { name: "loc2vec-farm", key: "FARM_DATABASE_URL" },
  });
});

test("a digest wins over the tag", () => {
  expect(podOf("redis-tls", "worker").spec.containers[0]?.image).toMatch(/worker@sha256:0123/);
});

describe("autoscaling", () => {
  interface Trigger {
    metadata: {
      address: string;
      databaseIndex: string;
      enableTLS: string;
      listName: string;
      listLength: string;
    };
    authenticationRef?: { name: string };
  }
  const triggers = (objects: readonly KubeObject[], which: string): Trigger[] => {
    const scaler = objects.find((each) => each.kind === "ScaledObject" && component(each) === which);
    return scaler?.spec?.triggers as Trigger[];
  };

  test("from none to many, on every list in which a job may lie that will run", () => {
    const [worker] = ofKind("default", "ScaledObject").filter((each) => component(each) === "worker");
    expect(worker?.spec).toMatchObject({ minReplicaCount: 0, maxReplicaCount: 50 });
    for (const [which, queues] of [
      ["worker", ["raster", "finalize"]],
      ["trainer", ["train", "embed"]],
    ] as const) {
      const lists = triggers(objectsOf("default"), which).map(({ metadata }) => metadata.listName);
      const wanted = queues.flatMap((queue) =>
        ["wait", "prioritized", "delayed", "active"].map((state) => `loc2vec:${queue}:${state}`),
      );
      expect([...lists].sort()).toEqual(wanted.sort());
      // The queues that are watched are those that are worked on.
      const args = podOf("default", which).spec.containers[0]?.args as string[];
      expect(args[args.indexOf("--queues") + 1]).toBe(queues.join(","));
    }
    expect(triggers(objectsOf("everything"), "worker")[0]?.metadata.listName).toMatch(/^city:raster:/);
  });

  test("the lists are BullMQ's own, and of sorts that KEDA can count", async () => {
    const prefix = `infra-${process.pid}`;
    const yaml = await template(helm, ["--set", `store=s3://bucket,queuePrefix=${prefix}`]);
    const { objects } = await check(inject("python"), yaml);
    const lists = triggers(objects, "worker")
      .map(({ metadata }) => metadata.listName)
      .filter((list) => list.includes(":raster:"));
    const raster = await openQueues({ redisUrl: inject("redisUrl"), prefix });
    try {
      const { raster: queue, connection } = raster;
      expect(lists.sort()).toEqual(
        ["active", "delayed", "prioritized", "wait"].map((state) => queue.toKey(state)),
      );
      const job = (shard: number) => ({ store: "0123456789abcdef", dataset: "city", shard });
      await queue.add("shard", job(0), { jobId: "city.0" });
      await queue.add("shard", job(1), { jobId: "city.1", priority: 1 });
      await queue.add("shard", job(2), { jobId: "city.2", delay: 3_600_000 });
      let counted = 0;
      for (const list of lists) {
        const type = await connection.type(list);
        // KEDA's script (pkg/scalers/redis_scaler.go): LLEN of a list or of nothing, ZCARD of a sorted set.
        expect(["list", "zset", "none"], list).toContain(type);
        counted += type === "zset" ? await connection.zcard(list) : await connection.llen(list);
      }
      expect(counted).toBe(3);
      await queue.obliterate({ force: true });
    } finally {
      await raster.close();
    }
  });

  test("TLS, user, password and authority by reference", () => {
    const [authentication] = ofKind("redis-tls", "TriggerAuthentication");
    expect(authentication?.spec).toEqual({
      secretTargetRef: [
        { parameter: "username", name: "redis", key: "REDIS_USERNAME" },
        { parameter: "password", name: "redis", key: "REDIS_PASSWORD" },
        { parameter: "ca", name: "authority", key: "root.pem" },
      ],
    });
    for (const trigger of triggers(objectsOf("redis-tls"), "worker")) {
      expect(trigger.metadata).toMatchObject({
        address: "redis.example:6380",
        databaseIndex: "2",
        enableTLS: "true",
      });
      expect(trigger.authenticationRef?.name).toBe(authentication?.metadata.name);
    }
    const env = podOf("redis-tls", "worker").spec.containers[0]?.env ?? [];
    expect(env).toContainEqual({ name: "NODE_EXTRA_CA_CERTS", value: "/etc/loc2vec/ca/root.pem" });
    expect(env.map((each) => each.name)).not.toContain("AWS_ACCESS_KEY_ID");
  });

  test("the API by its CPU, with tokens, and probes that an outage of PostGIS does not kill it by", () => {
    const [scaler] = ofKind("everything", "HorizontalPodAutoscaler");
    expect(scaler?.spec).toMatchObject({
      minReplicas: 1,
      maxReplicas: 4,
      metrics: [{ type: "Resource", resource: { name: "cpu", target: { averageUtilization: 70 } } }],
    });
    const { spec } = podOf("everything", "server");
    const [container] = spec.containers as [Container & Record<string, unknown>];
    expect(container.args).toEqual(
      "serve --dataset city --model city --host 0.0.0.0 --port 9500 --proxy 10.0.0.0/8".split(" "),
    );
    expect(container.env.find((each) => each.name === "FARM_SERVE_TOKENS")?.valueFrom).toEqual({
      secretKeyRef: { name: "loc2vec-farm", key: "FARM_SERVE_TOKENS" },
    });
    expect(container.readinessProbe).toMatchObject({ httpGet: { path: "/healthz" } });
    expect(container.livenessProbe).toMatchObject({ tcpSocket: { port: "http" } });
    // Requests may take 30 s.
    expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(30);
    const [monitor] = ofKind("everything", "ServiceMonitor").filter((each) => component(each) === "server");
    expect(JSON.stringify(monitor?.spec)).toContain('"key":"METRICS_TOKEN"');
  });

  test("without KEDA: as many replicas as said", () => {
    expect(ofKind("bare", "ScaledObject")).toEqual([]);
    expect(podOf("bare", "worker").owner.spec).toMatchObject({ replicas: 3 });
  });
});

describe("network", () => {
  interface Policy {
    podSelector: { matchLabels: Labels };
    policyTypes: string[];
    ingress?: { from: unknown[] }[];
    egress?: { ports: { port: number }[]; to?: unknown[] }[];
  }
  const ports = (name: string, which: string): number[] => {
    const policy = ofKind(name, "NetworkPolicy").find((each) => component(each) === which)
      ?.spec as unknown as Policy;
    return (policy.egress ?? []).flatMap((rule) => rule.ports.map((each) => each.port));
  };

  test("all is denied first, and board and API alone may be reached", () => {
    const policies = ofKind("everything", "NetworkPolicy");
    const specs = policies.map((each) => each.spec as unknown as Policy);
    const [deny, ...others] = specs as [Policy, ...Policy[]];
    expect(deny.policyTypes).toEqual(["Ingress", "Egress"]);
    expect([deny.ingress, deny.egress]).toEqual([undefined, undefined]);
    for (const { labels } of pods("everything")) {
      expect(selects(deny.podSelector.matchLabels, labels)).toBe(true);
      expect(others.filter((each) => selects(each.podSelector.matchLabels, labels))).toHaveLength(1);
    }
    const open = policies.filter((each) => (each.spec as unknown as Policy).ingress !== undefined);
    expect(open.map(component)).toEqual(["board", "server"]);
    // An empty list of peers would let everybody in.
    for (const rule of specs.flatMap((each) => each.ingress ?? [])) expect(rule.from).not.toEqual([]);
  });

  test("everyone reaches what it has a secret for, and no more", () => {
    expect(ports("default", "worker")).toEqual([53, 53, 6379, 5432, 443]);
    expect(ports("default", "board")).toEqual([53, 53, 6379, 443]);
    expect(ports("cpu-trainer", "trainer")).toEqual([53, 53, 6379, 443]);
    expect(ports("everything", "server")).toEqual([53, 53, 5432, 9000]);
    expect(ports("everything", "import")).toEqual([53, 53, 5432]);
    expect(ports("everything", "enqueue")).toEqual([53, 53, 6379, 5432, 9000]);
    expect(ports("redis-tls", "worker")).toContain(6380);
    expect(ofKind("bare", "NetworkPolicy")).toEqual([]);
  });
});

describe("jobs", () => {
  const job = async (...set: string[]): Promise<KubeObject> => {
    const values = ["store=s3://bucket", "enqueue.enabled=true", ...set].join(",");
    const yaml = await template(helm, ["--set", values]);
    const { objects, problems } = await check(inject("python"), yaml);
    expect(problems).toEqual([]);
    return objects.find((each) => each.kind === "Job") as KubeObject;
  };

  test("another data set is another Job, for a Job cannot be changed", async () => {
    const one = await job("enqueue.dataset=one,enqueue.table=places");
    const again = await job("enqueue.dataset=one,enqueue.table=places");
    const two = await job("enqueue.dataset=two,enqueue.table=places");
    expect(again.metadata.name).toBe(one.metadata.name);
    expect(two.metadata.name).not.toBe(one.metadata.name);
    const { containers } = (two.spec as { template: { spec: PodSpec } }).template.spec;
    expect(containers[0]?.args).toEqual(["enqueue", "--dataset", "two", "--table", "places"]);
  });

  test("locations come from one place", async () => {
    await expect(job("enqueue.dataset=one")).rejects.toThrow("give one of locations and table");
    await expect(job("enqueue.dataset=a,enqueue.table=b,enqueue.locations=/data/c")).rejects.toThrow(
      "give one of locations and table",
    );
    await expect(job("enqueue.table=b")).rejects.toThrow("enqueue.dataset");
  });
});

test.each([
  ["store=file:///data", "/store"],
  ["worker.replicas.min=-1", "/worker/replicas/min"],
  ["worker.replica=3", "replica"],
  ["worker.terminationGracePeriodSeconds=20", "/worker/terminationGracePeriodSeconds"],
  ["worker.resources.requests=null", "/worker/resources"],
  ["worker.digest=latest", "/worker/digest"],
  ["worker.scaling.shardsPerWorker=many", "/worker/scaling/shardsPerWorker"],
  ["trainer.mode=tpu", "/trainer/mode"],
  ["trainer.spot=maybe", "/trainer/spot"],
  ["board.port=80", "/board/port"],
  ["server.replicas.min=0", "/server/replicas/min"],
  ["redis.address=redis://redis:6379", "/redis/address"],
  ["queuePrefix=a:b", "/queuePrefix"],
  ["renderer=slow", "/renderer"],
])("the values' schema refuses %s", async (set, place) => {
  await expect(template(helm, ["--set", `store=s3://bucket,${set}`])).rejects.toThrow(place);
});

test("without a store nothing is rendered", async () => {
  await expect(template(helm, [])).rejects.toThrow("/store");
});
