{{/*
The spec of a pod, from {root, component, image, args} and optionally
  port:     of what answers over HTTP: a port, and probes on /healthz
  volume:   of a Job: mounted read-only at /data
  scratch:  size of /tmp
  restart:  restartPolicy
*/}}
{{- define "farm.pod" -}}
{{- $root := .root }}
{{- $v := index $root.Values .component }}
{{- $component := .component }}
{{- $needs := splitList " " (include "farm.needs" .) }}
{{- $gpu := and (eq .component "trainer") (eq $root.Values.trainer.mode "gpu") }}
{{- $spot := ne $v.spot "none" }}
{{- $ca := $root.Values.caSecret -}}
serviceAccountName: {{ include "farm.serviceAccount" $root }}
automountServiceAccountToken: false
# A service named farm-… would give pods variables FARM_…_SERVICE_HOST, and the farm refuses settings it does not know.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ $v.terminationGracePeriodSeconds }}
{{- with .restart }}
restartPolicy: {{ . }}
{{- end }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- with $v.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or $v.tolerations $gpu $spot }}
tolerations:
  {{- with $v.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if $gpu }}
  - { key: nvidia.com/gpu, operator: Exists, effect: NoSchedule }
  {{- end }}
  {{- if $spot }}
  {{- range $root.Values.spotNodes }}
  - { key: {{ .key }}, operator: Equal, value: {{ .value | quote }}, effect: NoSchedule }
  {{- end }}
  {{- end }}
{{- end }}
{{- if or $v.affinity $spot }}
affinity:
  {{- with $v.affinity }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if eq $v.spot "require" }}
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        {{- range $root.Values.spotNodes }}
        - matchExpressions: [{ key: {{ .key }}, operator: In, values: [{{ .value | quote }}] }]
        {{- end }}
  {{- else if $spot }}
  nodeAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      {{- range $root.Values.spotNodes }}
      - weight: 50
        preference:
          matchExpressions: [{ key: {{ .key }}, operator: In, values: [{{ .value | quote }}] }]
      {{- end }}
  {{- end }}
{{- end }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "farm.selector" $root | nindent 8 }}
        app.kubernetes.io/component: {{ $component }}
  {{- end }}
containers:
  - name: {{ .component }}
    {{- $tag := default $root.Chart.AppVersion $root.Values.image.tag }}
    image: {{ printf "%s/%s%s" $root.Values.image.registry .image (ternary (printf "@%s" $v.digest) (printf ":%s" $tag) (ne $v.digest "")) | quote }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args: {{ toJson .args }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: { drop: [ALL] }
    env:
      - { name: HOME, value: /tmp }
      - { name: FARM_HOME, value: /var/lib/loc2vec }
      - { name: FARM_QUEUE_PREFIX, value: {{ $root.Values.queuePrefix | quote }} }
      - { name: FARM_STORE, value: {{ $root.Values.store | quote }} }
      {{- with $root.Values.s3Endpoint }}
      - { name: FARM_S3_ENDPOINT, value: {{ . | quote }} }
      {{- end }}
      - { name: AWS_REGION, value: {{ $root.Values.awsRegion | quote }} }
      - { name: FARM_RENDERER, value: {{ $root.Values.renderer }} }
      - { name: FARM_OUTSIDE, value: {{ $root.Values.outside }} }
      {{- if eq .component "worker" }}
      - { name: FARM_WORKERS, value: {{ $v.concurrency | quote }} }
      {{- end }}
      {{- $secrets := $root.Values.secrets }}
      {{- if has "redis" $needs }}
      {{- include "farm.secretEnv" (list "FARM_REDIS_URL" $secrets.redis.name $secrets.redis.urlKey) | nindent 6 }}
      {{- end }}
      {{- if has "database" $needs }}
      {{- $database := ternary $secrets.importDatabase $secrets.database (and (eq .component "import") (ne $secrets.importDatabase.name "")) }}
      {{- include "farm.secretEnv" (list "FARM_DATABASE_URL" $database.name $database.urlKey) | nindent 6 }}
      {{- end }}
      {{- if and (has "store" $needs) $secrets.s3.name }}
      {{- include "farm.secretEnv" (list "AWS_ACCESS_KEY_ID" $secrets.s3.name $secrets.s3.accessKeyIdKey) | nindent 6 }}
      {{- include "farm.secretEnv" (list "AWS_SECRET_ACCESS_KEY" $secrets.s3.name $secrets.s3.secretAccessKeyKey) | nindent 6 }}
      {{- end }}
      {{- if eq .component "board" }}
      {{- include "farm.secretEnv" (list "FARM_BOARD_PASSWORD" $secrets.board.name $secrets.board.passwordKey) | nindent 6 }}
      {{- end }}
      {{- if eq .component "server" }}
      {{- include "farm.secretEnv" (list "FARM_SERVE_TOKENS" $secrets.server.name $secrets.server.tokensKey) | nindent 6 }}
      {{- end }}
      {{- if $ca.name }}
      - { name: NODE_EXTRA_CA_CERTS, value: {{ printf "/etc/loc2vec/ca/%s" $ca.key | quote }} }
      {{- end }}
      {{- with $v.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with .port }}
    ports: [{ name: http, containerPort: {{ . }} }]
    readinessProbe: { httpGet: { path: /healthz, port: http }, periodSeconds: 5 }
    {{- if eq $component "server" }}
    # Neither a PostGIS that is away nor a long start, with an index to be built, is mended by another start.
    livenessProbe: { tcpSocket: { port: http }, periodSeconds: 10, timeoutSeconds: 3, failureThreshold: 6 }
    startupProbe: { tcpSocket: { port: http }, periodSeconds: 5, failureThreshold: 240 }
    {{- else }}
    livenessProbe: { httpGet: { path: /healthz, port: http }, periodSeconds: 10, timeoutSeconds: 3, failureThreshold: 6 }
    {{- end }}
    {{- end }}
    resources:
      {{- $resources := deepCopy $v.resources }}
      {{- if $gpu }}
      {{- $_ := set $resources "limits" (set (default dict $resources.limits) "nvidia.com/gpu" $root.Values.trainer.gpus) }}
      {{- end }}
      {{- toYaml $resources | nindent 6 }}
    volumeMounts:
      - { name: tmp, mountPath: /tmp }
      - { name: home, mountPath: /var/lib/loc2vec }
      {{- if $ca.name }}
      - { name: ca, mountPath: /etc/loc2vec/ca, readOnly: true }
      {{- end }}
      {{- if .volume }}
      - { name: data, mountPath: /data, readOnly: true }
      {{- end }}
volumes:
  - { name: tmp, emptyDir: { sizeLimit: {{ default "1Gi" .scratch }} } }
  - { name: home, emptyDir: { sizeLimit: 1Gi } }
  {{- if $ca.name }}
  - { name: ca, secret: { secretName: {{ $ca.name }}, items: [{ key: {{ $ca.key }}, path: {{ $ca.key }} }] } }
  {{- end }}
  {{- with .volume }}
  - name: data
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* [variable, secret, key] */}}
{{- define "farm.secretEnv" -}}
- name: {{ index . 0 }}
  valueFrom: { secretKeyRef: { name: {{ index . 1 }}, key: {{ index . 2 }} } }
{{- end }}

{{/* Metadata of a pod: {root, component} */}}
{{- define "farm.podMetadata" -}}
labels:
  {{- include "farm.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
{{- with (index .root.Values .component).podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
