{{/*
What a component that answers over HTTP has beside its Deployment, from {root, component, secret, key}: a Service, a budget,
and if wanted an Ingress and a monitor of Prometheus', whose password or token the secret has under the key.
*/}}
{{- define "farm.web" -}}
{{- $v := index .root.Values .component }}
---
apiVersion: v1
kind: Service
metadata:
  {{- include "farm.metadata" $ | nindent 2 }}
  {{- with $v.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: ClusterIP
  ports: [{ name: http, port: {{ $v.port }}, targetPort: http }]
  selector:
    {{- include "farm.selector" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "farm.metadata" $ | nindent 2 }}
spec:
  maxUnavailable: {{ $v.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    {{- include "farm.componentSelector" $ | nindent 4 }}
{{- with $v.ingress }}
{{- if .enabled }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "farm.metadata" $ | nindent 2 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with .tlsSecret }}
  tls: [{ hosts: [{{ $v.ingress.host }}], secretName: {{ . }} }]
  {{- end }}
  rules:
    - host: {{ required (printf "%s.ingress.host" $.component) .host }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend: { service: { name: {{ include "farm.fullname" $.root }}-{{ $.component }}, port: { name: http } } }
{{- end }}
{{- end }}
{{- with $v.serviceMonitor }}
{{- if .enabled }}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "farm.metadata" $ | nindent 2 }}
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    {{- include "farm.componentSelector" $ | nindent 4 }}
  endpoints:
    - port: http
      path: /metrics
      interval: {{ .interval }}
      authorization:
        type: Bearer
        credentials: { name: {{ $.secret }}, key: {{ $.key }} }
{{- end }}
{{- end }}
{{- end }}
