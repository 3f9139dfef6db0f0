{{- define "farm.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "farm.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "farm.labels" -}}
{{ include "farm.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- define "farm.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "farm.fullname" .) .Values.serviceAccount.name }}
{{- else }}{{ required "serviceAccount.name, as none is created" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Which services a component talks to: its secrets and its network policy follow from this. */}}
{{- define "farm.needs" -}}
{{- if eq .component "board" }}redis store
{{- else if eq .component "import" }}database
{{- else if eq .component "server" }}database store
{{- else if eq .component "trainer" }}redis store
{{- else }}redis database store
{{- end }}
{{- end }}

{{/* Metadata of an object: {root, component} */}}
{{- define "farm.metadata" -}}
name: {{ include "farm.fullname" .root }}-{{ .component }}
labels:
  {{- include "farm.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels that select a component's pods: {root, component} */}}
{{- define "farm.componentSelector" -}}
matchLabels:
  {{- include "farm.selector" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "farm.kedaSecret" -}}
{{- if or .Values.secrets.redis.usernameKey .Values.secrets.redis.passwordKey (and .Values.redis.tls .Values.caSecret.name) }}yes{{- end }}
{{- end }}

{{/*
KEDA's triggers on a BullMQ queue: {root, queue, waiting, busy}, being how many jobs of either sort are one replica's.
Waiting jobs with a priority, and failed ones that wait for their next attempt, lie in sorted sets, which KEDA counts too;
only a running worker moves the latter on. What is being worked on keeps its worker.
*/}}
{{- define "farm.triggers" -}}
{{- range $state, $length := dict "wait" .waiting "prioritized" .waiting "delayed" .waiting "active" .busy }}
- type: redis
  metadata:
    address: {{ $.root.Values.redis.address | quote }}
    databaseIndex: {{ $.root.Values.redis.databaseIndex | quote }}
    enableTLS: {{ $.root.Values.redis.tls | quote }}
    listName: {{ printf "%s:%s:%s" $.root.Values.queuePrefix $.queue $state | quote }}
    listLength: {{ $length | quote }}
  {{- if include "farm.kedaSecret" $.root }}
  authenticationRef: { name: {{ include "farm.fullname" $.root }}-redis }
  {{- end }}
{{- end }}
{{- end }}
