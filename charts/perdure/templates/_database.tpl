{{/* How operator and migration reach the store. */}}

{{/* Variables: of (dict "context" $ "secret" NAME). */}}
{{- define "perdure.databaseEnv" -}}
{{- $tls := .context.Values.database.tls -}}
- name: PERDURE_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ include "perdure.databaseKey" .context }}
{{- with $tls.mode }}
- name: PGSSLMODE
  value: {{ . }}
{{- end }}
{{- if or $tls.ca.secret $tls.ca.configMap }}
- name: PGSSLROOTCERT
  value: /etc/perdure/database/ca/{{ $tls.ca.key }}
{{- end }}
{{- if $tls.clientSecret }}
- name: PGSSLCERT
  value: /etc/perdure/database/client/tls.crt
- name: PGSSLKEY
  value: /etc/perdure/database/client/tls.key
{{- end }}
{{- end -}}

{{- define "perdure.databaseMounts" -}}
{{- $tls := .Values.database.tls -}}
- {name: tmp, mountPath: /tmp}
{{- if or $tls.ca.secret $tls.ca.configMap }}
- {name: database-ca, mountPath: /etc/perdure/database/ca, readOnly: true}
{{- end }}
{{- if $tls.clientSecret }}
- {name: database-client, mountPath: /etc/perdure/database/client, readOnly: true}
{{- end }}
{{- end -}}

{{/* Of (dict "of" "database.tls.ca" "ca" .Values.database.tls.ca). */}}
{{- define "perdure.onlyOneAuthority" -}}
{{- if and .ca.secret .ca.configMap -}}
{{- fail (printf "%s: give a secret or a configMap, not both" .of) -}}
{{- end -}}
{{- end -}}

{{- define "perdure.databaseVolumes" -}}
{{- $tls := .Values.database.tls -}}
{{- include "perdure.onlyOneAuthority" (dict "of" "database.tls.ca" "ca" $tls.ca) -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- with $tls.ca.secret }}
- name: database-ca
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with $tls.ca.configMap }}
- name: database-ca
  configMap: {name: {{ . }}}
{{- end }}
{{- with $tls.clientSecret }}
- name: database-client
  # libpq takes no key that everybody may read.
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end -}}
