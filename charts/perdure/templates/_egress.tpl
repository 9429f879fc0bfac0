{{/* Connections that NetworkPolicies allow. */}}

{{- define "perdure.egressDns" -}}
ports:
  - {port: 53, protocol: UDP}
  - {port: 53, protocol: TCP}
{{- end -}}

{{/* The API server is no pod, so only its ports can be named. */}}
{{- define "perdure.egressApi" -}}
ports:
  {{- range .Values.networkPolicy.apiServerPorts }}
  - {port: {{ . }}}
  {{- end }}
{{- end -}}
