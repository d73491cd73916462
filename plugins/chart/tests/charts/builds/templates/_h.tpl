{{- define "builds.tag" -}}
{{- if .Values.controller.image.tag -}}{{- .Values.controller.image.tag -}}{{- else -}}{{- printf "%s-%s" .Chart.AppVersion .Values.controller.image.tagLabel -}}{{- end -}}
{{- end -}}
{{- define "builds.xml" -}}
<a>{{ html "<&>" }}</a>
{{- range .Values.agent.envVars }}
<e k="{{ .name }}">{{ .value }}</e>
{{- end }}
{{- end -}}
