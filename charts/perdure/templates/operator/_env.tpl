{{/* What the operator is told, as its variables. */}}
{{- define "perdure.operatorEnv" -}}
{{- $settings := dict -}}
{{- range $name, $value := .Values.operator.settings -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $settings $name $value -}}
{{- end -}}
{{- end -}}
{{- if and (include "perdure.ownPostgres" .) (not (hasKey $settings "maxActiveRuns")) -}}
{{/* Its 300 connections are enough for two for each pod. */}}
{{- $_ := set $settings "maxActiveRuns" 100 -}}
{{- end -}}
{{- $_ := set $settings "leaderElectionNamespace" .Release.Namespace -}}
{{- $_ := set $settings "leaderElectionName" (include "perdure.operator" .) -}}
{{- $_ := set $settings "ownNamespace" .Release.Namespace -}}
{{- if .Values.workflows.inReleaseNamespace -}}
{{- $_ := set $settings "workflowsInOwnNamespace" true -}}
{{- else if eq (join "," .Values.operator.namespaces) .Release.Namespace -}}
{{- fail "operator.namespaces: Workflows in the release's namespace are refused; name others, or set workflows.inReleaseNamespace=true" -}}
{{- end -}}
{{- $_ := set $settings "podDatabaseSecret" (include "perdure.podSecret" .) -}}
{{- $_ := set $settings "podDatabaseSecretKey" .Values.workflows.databaseSecret.key -}}
{{- include "perdure.onlyOneAuthority" (dict "of" "workflows.databaseTls.ca" "ca" .Values.workflows.databaseTls.ca) -}}
{{- with .Values.workflows.databaseTls -}}
{{- with .mode -}}
{{- $_ := set $settings "podDatabaseTlsMode" . -}}
{{- end -}}
{{- with .ca.secret -}}
{{- $_ := set $settings "podDatabaseCaSecret" . -}}
{{- end -}}
{{- with .ca.configMap -}}
{{- $_ := set $settings "podDatabaseCaConfigMap" . -}}
{{- end -}}
{{- $_ := set $settings "podDatabaseCaKey" .ca.key -}}
{{- with .clientSecret -}}
{{- $_ := set $settings "podDatabaseClientSecret" . -}}
{{- end -}}
{{- end -}}
{{- $_ := set $settings "podUser" (ternary "platform" .Values.workflows.user (kindIs "invalid" .Values.workflows.user)) -}}
{{- with .Values.operator.instance -}}
{{- $_ := set $settings "instance" . -}}
{{- end -}}
{{- $_ := set $settings "metrics" (include "perdure.metricsAccess" .) -}}
{{- if and .Values.metrics.certificateSecret (eq (include "perdure.metricsAccess" .) "authorized") -}}
{{- $_ := set $settings "metricsCertificate" "/etc/perdure/metrics" -}}
{{- end -}}
{{- with .Values.operator.clusterId -}}
{{- $_ := set $settings "clusterId" . -}}
{{- end -}}
{{- $_ := set $settings "runtimeImage" (include "perdure.runtimeImage" .) -}}
{{- with .Values.operator.namespaces -}}
{{- $_ := set $settings "namespaces" (join "," .) -}}
{{- end -}}
{{- with .Values.workflows.imagePullPolicy -}}
{{- $_ := set $settings "imagePullPolicy" . -}}
{{- end -}}
{{- with .Values.workflows.imagePullSecrets -}}
{{- $_ := set $settings "imagePullSecrets" (join "," .) -}}
{{- end -}}
- name: POD_NAME
  valueFrom:
    fieldRef: {apiVersion: v1, fieldPath: metadata.name}
{{- if .Values.database.directKey }}
- name: PERDURE_DATABASE_DIRECT_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "perdure.databaseSecret" . }}
      key: {{ .Values.database.directKey }}
{{- end }}
{{- range $name, $value := $settings }}
- name: PERDURE_OPERATOR_{{ $name | snakecase | upper }}
  {{- /* As JSON, where a large number is no 1e+06. */}}
  value: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }}
{{- end }}
{{- end -}}
