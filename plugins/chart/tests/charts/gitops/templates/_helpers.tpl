{{- define "gitops.config.presets" -}}
{{- $presets := dict -}}
{{- $_ := set $presets "url" (printf "https://%s" .Values.global.domain) -}}
{{- if (index .Values "redis-ha" "enabled") -}}
{{- $_ := set $presets "redis" "ha" -}}
{{- end -}}
{{- toYaml $presets }}
{{- end -}}
{{- define "gitops.config.cm" -}}
{{- $config := (mergeOverwrite (deepCopy (omit .Values.configs.cm "create")) (.Values.server | default dict)) -}}
{{- $preset := include "gitops.config.presets" . | fromYaml | default dict -}}
{{- range $key, $value := mergeOverwrite $preset $config }}
{{- $fmted := $value | toString }}
{{- if not (eq $fmted "") }}
{{ $key }}: {{ $fmted | toYaml }}
{{- end }}
{{- end }}
{{- end -}}
{{- define "gitops.tag" -}}{{ default .Chart.AppVersion .Values.global.image.tag }}{{- end -}}
