{{/* Connections that NetworkPolicies allow. */}}

{{- define "perdure.egressDns" -}}
# The port counts of the pods that answer, not of their Service: OpenShift's have 5353.
ports:
  - {port: 53, protocol: UDP}
  - {port: 53, protocol: TCP}
  - {port: 5353, protocol: UDP}
  - {port: 5353, protocol: TCP}
{{- end -}}

{{/* The store, from pods of any namespace. */}}
{{- define "perdure.egressStore" -}}
{{- if include "perdure.ownPostgres" . -}}
to:
  - namespaceSelector:
      matchLabels: {kubernetes.io/metadata.name: {{ .Release.Namespace }}}
    podSelector:
      matchLabels:
        {{- include "perdure.selector" (dict "context" . "component" "postgres") | nindent 8 }}
ports:
  - {port: 5432}
{{- else -}}
ports:
  - {port: {{ .Values.networkPolicy.databasePort }}}
{{- end }}
{{- end -}}

{{/* The API server is no pod, so only its ports can be named. */}}
{{- define "perdure.egressApi" -}}
ports:
  {{- range .Values.networkPolicy.apiServerPorts }}
  - {port: {{ . }}}
  {{- end }}
{{- end -}}
