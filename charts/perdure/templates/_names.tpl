{{/* Names, labels, images: what several templates must say alike. */}}

{{- define "perdure.fullname" -}}
{{- $chart := .Values.nameOverride | default .Chart.Name -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name $chart) (contains $chart .Release.Name) -}}
{{- .Values.fullnameOverride | default $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "perdure.operator" -}}
{{ include "perdure.fullname" . }}-operator
{{- end -}}

{{- define "perdure.postgres" -}}
{{ include "perdure.fullname" . }}-postgres
{{- end -}}

{{/* The claim of its volume. */}}
{{- define "perdure.postgresData" -}}
data-{{ include "perdure.postgres" . }}-0
{{- end -}}

{{/* Where pods of any namespace find it. */}}
{{- define "perdure.postgresHost" -}}
{{ include "perdure.postgres" . }}.{{ .Release.Namespace }}.svc
{{- end -}}

{{- define "perdure.chores" -}}
{{ include "perdure.fullname" . }}-chores
{{- end -}}

{{- define "perdure.serviceAccount" -}}
{{- $account := .Values.operator.serviceAccount -}}
{{ $account.name | default (ternary (include "perdure.operator" .) "default" $account.create) }}
{{- end -}}

{{/* Of what has no namespace: releases in several namespaces may have the same name. A namespace has no dot. */}}
{{- define "perdure.clusterwide" -}}
{{ include "perdure.fullname" . }}.{{ .Release.Namespace }}
{{- end -}}

{{/* Of the role to run Workflows. It is named after these, so that no two releases of Helm's run the same ones. */}}
{{- define "perdure.runs" -}}
{{- with .Values.operator.instance -}}
perdure-workflows.{{ . }}
{{- else -}}
perdure-workflows
{{- end -}}
{{- end -}}

{{/* Labels of Workflows that are for this release, and of their pods; nothing, if they have none. */}}
{{- define "perdure.instanceLabels" -}}
{{- with .Values.operator.instance -}}
perdure.io/instance: {{ . | quote }}
{{- end -}}
{{- end -}}

{{/* The Secret by which pods of Workflows reach the store. */}}
{{- define "perdure.podSecret" -}}
{{- $name := "perdure-pod-database" -}}
{{- with .Values.operator.instance -}}
{{- $name = printf "%s-%s" $name . -}}
{{- end -}}
{{ .Values.workflows.databaseSecret.name | default $name }}
{{- end -}}

{{/* The Secret from which the passwords of namespaces' own logins follow. */}}
{{- define "perdure.loginsSecret" -}}
{{ include "perdure.fullname" . }}-logins
{{- end -}}

{{/* The Secret by which the operator reaches the store. */}}
{{- define "perdure.databaseSecret" -}}
{{ .Values.database.existingSecret | default (printf "%s-database" (include "perdure.fullname" .)) }}
{{- end -}}

{{- define "perdure.databaseKey" -}}
{{ ternary .Values.database.key "url" (ne .Values.database.existingSecret "") }}
{{- end -}}

{{/* "true", or nothing: whether the chart brings a Postgres of its own. */}}
{{- define "perdure.ownPostgres" -}}
{{ if not .Values.database.existingSecret }}true{{ end }}
{{- end -}}

{{/* "true", or nothing: whether the release is to make do without ClusterRoles. */}}
{{- define "perdure.namespaced" -}}
{{ if and .Values.operator.namespaces .Values.operator.clusterId (not .Values.crds.enabled) }}true{{ end }}
{{- end -}}

{{/* authorized, open or none. */}}
{{- define "perdure.metricsAccess" -}}
{{ .Values.metrics.access | default (ternary "none" "authorized" (ne (include "perdure.namespaced" .) "")) }}
{{- end -}}

{{/* Where `helm test` has its Workflow; nothing, if no namespace is known that may have Workflows. */}}
{{- define "perdure.testNamespace" -}}
{{- $watched := .Values.operator.namespaces -}}
{{- $allowed := .Values.workflows.inReleaseNamespace -}}
{{- $may := ternary (list .Release.Namespace) list $allowed -}}
{{- range concat .Values.workflows.databaseSecret.namespaces $watched -}}
{{- if or $allowed (ne . $.Release.Namespace) -}}
{{- $may = append $may . -}}
{{- end -}}
{{- end -}}
{{- $found := .Values.test.namespace -}}
{{- range $may -}}
{{- if and (not $found) (or (not $watched) (has . $watched)) -}}
{{- $found = . -}}
{{- end -}}
{{- end -}}
{{ $found }}
{{- end -}}

{{- define "perdure.image" -}}
{{ include "perdure.imageOf" (dict "context" . "image" .Values.image) }}
{{- end -}}

{{/* Of the pods of Workflows that name none. */}}
{{- define "perdure.runtimeImage" -}}
{{- $image := .Values.workflows.image -}}
{{- $repository := $image.repository | default (printf "%s-runtime" .Values.image.repository) -}}
{{- $tag := $image.tag | default .Values.image.tag -}}
{{ include "perdure.imageOf" (dict "context" . "image" (dict "repository" $repository "tag" $tag "digest" $image.digest)) }}
{{- end -}}

{{- define "perdure.imageOf" -}}
{{- with .context.Values.global.imageRegistry }}{{ . }}/{{ end -}}
{{- with .image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.context.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels by which an object's pods are found: of (dict "context" $ "component" "operator"). */}}
{{- define "perdure.selector" -}}
app.kubernetes.io/name: {{ .context.Chart.Name }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "perdure.labels" -}}
{{ include "perdure.selector" . }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
app.kubernetes.io/part-of: perdure
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" }}
{{- with .context.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
