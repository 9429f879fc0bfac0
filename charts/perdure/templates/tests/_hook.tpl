{{/* Annotations of what is there during `helm test` and no longer; the argument says which comes first. */}}
{{- define "perdure.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
