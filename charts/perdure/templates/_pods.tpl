{{/* What the pods of the chart have in common. */}}

{{- define "perdure.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* "true", or nothing: whether the image may not know the user of its pods by name. Postgres does not begin without. */}}
{{- define "perdure.namelessUser" -}}
{{ if ne (toString .Values.podSecurityContext.runAsUser) "10001" }}true{{ end }}
{{- end -}}

{{/* Where a pod goes: of the values of its component. */}}
{{- define "perdure.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "perdure.pullSecrets" -}}
{{- $names := .Values.image.pullSecrets -}}
{{- range .Values.global.imagePullSecrets -}}
{{- if kindIs "map" . -}}
{{- $names = append $names .name -}}
{{- else -}}
{{- $names = append $names . -}}
{{- end -}}
{{- end -}}
{{- with uniq $names }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Variables of what speaks HTTP. The API server of this cluster is in it, and no proxy is on the way to it. */}}
{{- define "perdure.proxyEnv" -}}
{{- with .Values.proxy.httpsProxy }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.proxy.httpProxy }}
- name: HTTP_PROXY
  value: {{ . | quote }}
{{- end }}
{{- if or .Values.proxy.httpsProxy .Values.proxy.httpProxy }}
- name: NO_PROXY
  value: {{ join "," (concat (list "$(KUBERNETES_SERVICE_HOST)" ".svc") .Values.proxy.noProxy) | quote }}
{{- end }}
{{- end -}}

{{/* The token of the pod's account as a volume, so that only those containers have it that mount it. */}}
{{- define "perdure.tokenVolume" -}}
name: token
projected:
  defaultMode: 0440
  sources:
    - serviceAccountToken:
        path: token
        expirationSeconds: 3607
    - configMap:
        name: kube-root-ca.crt
        items:
          - {key: ca.crt, path: ca.crt}
    - downwardAPI:
        items:
          - path: namespace
            fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}
{{- end -}}

{{- define "perdure.tokenMount" -}}
name: token
mountPath: /var/run/secrets/kubernetes.io/serviceaccount
readOnly: true
{{- end -}}

{{/* A container that does one of the chores: of (dict "context" $ "chore" "passwords"). */}}
{{- define "perdure.chore" -}}
name: {{ .chore }}
image: {{ include "perdure.image" .context }}
imagePullPolicy: {{ .context.Values.image.pullPolicy }}
command: [python3, /chores/chores.py, {{ .chore }}]
securityContext:
  {{- include "perdure.containerSecurity" .context | nindent 2 }}
resources:
  requests: {cpu: 100m, memory: 64Mi}
  limits: {memory: 128Mi}
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  - {name: chores, mountPath: /chores, readOnly: true}
  {{- if eq .chore "name" }}
  - {name: user, mountPath: /user}
  {{- else if ne .chore "wait" }}
  - {{ include "perdure.tokenMount" .context | nindent 4 | trim }}
  {{- end }}
{{- end -}}

{{- define "perdure.choresVolume" -}}
name: chores
configMap:
  name: {{ include "perdure.chores" . }}
{{- end -}}
