{{- define "logs.calculated" -}}
{{ tpl (mergeOverwrite (tpl .Values.loki.config . | fromYaml) .Values.loki.structured | toYaml) . }}
{{- end }}
{{- define "logs.baseImage" -}}
{{- $registry := .global.registry | default .service.registry | default "" -}}
{{- $repository := .service.repository | default "" -}}
{{- $ref := ternary (printf ":%s" (.service.tag | default .defaultVersion | toString)) (printf "@%s" .service.digest) (empty .service.digest) -}}
{{- if and $registry $repository -}}{{- printf "%s/%s%s" $registry $repository $ref -}}{{- else -}}{{- printf "%s%s%s" $registry $repository $ref -}}{{- end -}}
{{- end -}}
{{- define "logs.image" -}}
{{- $dict := dict "service" .Values.image "global" (.Values.global | default dict) "defaultVersion" .Chart.AppVersion -}}
{{- include "logs.baseImage" $dict -}}
{{- end -}}
