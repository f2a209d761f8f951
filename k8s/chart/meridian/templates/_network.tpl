{{- /* Peers and ports of networkpolicy.yaml. (list . "component") */ -}}
{{- define "meridian.from" -}}
- podSelector:
    matchLabels:
      {{- include "meridian.selector" . | nindent 6 }}
{{- end -}}

{{- define "meridian.metricsFrom" -}}
{{- range .Values.networkPolicy.metricsNamespaces -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ . }}}
{{ else -}}
- podSelector: {}
{{- end -}}
{{- end -}}

{{- define "meridian.dnsAndRedis" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- if include "meridian.hasRedis" . }}
- ports:
    {{- range .Values.networkPolicy.redisPorts }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- if .Values.networkPolicy.redisCidrs }}
  to:
    {{- range .Values.networkPolicy.redisCidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  {{- end }}
{{- if .Values.redis.development.enabled }}
- ports:
    - {port: 6379, protocol: TCP}
  to:
    {{- include "meridian.from" (list . "redis") | nindent 4 }}
{{- end }}
{{- end }}
{{- end -}}
