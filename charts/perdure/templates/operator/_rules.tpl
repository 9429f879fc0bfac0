{{/* What the operator may do where it runs Workflows. It reads no Secret. */}}
{{- define "perdure.operatorRules" -}}
# Delete: once ttlSecondsAfterFinished is over.
- apiGroups: [perdure.io]
  resources: [workflows]
  verbs: [get, list, watch, delete]
- apiGroups: [perdure.io]
  resources: [workflows/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, delete]
# Code, which is copied into the store with the run.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
# Told again, an event is counted up.
- apiGroups: [""]
  resources: [events]
  verbs: [get, create, patch]
{{- end -}}

{{- define "perdure.operatorSubject" -}}
kind: ServiceAccount
name: {{ include "perdure.serviceAccount" . }}
namespace: {{ .Release.Namespace }}
{{- end -}}
