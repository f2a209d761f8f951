{{- /* Names. Short enough for the labels that Kubernetes derives from a StatefulSet's name. */ -}}
{{- define "meridian.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "meridian.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "meridian.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "meridian.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "meridian.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "meridian.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* Of a Service, for others: (list . "name") */ -}}
{{- define "meridian.host" -}}
{{- $top := index . 0 -}}
{{- printf "%s.%s.svc.%s" (index . 1) $top.Release.Namespace $top.Values.clusterDomain -}}
{{- end -}}

{{- /* (list . "component"). What selectors use never changes. */ -}}
{{- define "meridian.selector" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: {{ include "meridian.name" $top }}
app.kubernetes.io/instance: {{ $top.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- /* Of pods: nothing that a new chart alone changes, which would restart every node. */ -}}
{{- define "meridian.podLabels" -}}
{{- $top := index . 0 -}}
{{ include "meridian.selector" . }}
app.kubernetes.io/part-of: meridian
{{- with $top.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "meridian.labels" -}}
{{- $top := index . 0 -}}
{{ include "meridian.podLabels" . }}
app.kubernetes.io/version: {{ $top.Values.image.tag | default $top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $top.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* metadata: of an object: (list . "component" "name") */ -}}
{{- define "meridian.metadata" -}}
{{- $top := index . 0 -}}
name: {{ index . 2 }}
namespace: {{ $top.Release.Namespace }}
labels:
  {{- include "meridian.labels" (list $top (index . 1)) | nindent 2 }}
{{- with $top.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "meridian.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Pod Security "restricted". (list . uid) */ -}}
{{- define "meridian.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ index . 1 }}
runAsGroup: {{ index . 1 }}
fsGroup: {{ index . 1 }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "meridian.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* What all pods have, and how they are spread: (list . "component" values-of-it) */ -}}
{{- define "meridian.podSpec" -}}
{{- $top := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index . 2 -}}
serviceAccountName: {{ include "meridian.serviceAccountName" $top }}
automountServiceAccountToken: false
# Variables for each Service would have names such as MERIDIAN_PORT: settings are named like that.
enableServiceLinks: false
{{- with $top.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
securityContext:
  {{- include "meridian.podSecurityContext" (list $top $top.Values.runAsUser) | nindent 2 }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $values.affinity }}
affinity:
  {{- toYaml $values.affinity | nindent 2 }}
{{- else if ne $values.podAntiAffinity "none" }}
affinity:
  podAntiAffinity:
    {{- if eq $values.podAntiAffinity "hard" }}
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "meridian.selector" (list $top $component) | nindent 12 }}
    {{- else }}
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "meridian.selector" (list $top $component) | nindent 14 }}
    {{- end }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: {{ $values.zoneSpread }}
    labelSelector:
      matchLabels:
        {{- include "meridian.selector" (list $top $component) | nindent 8 }}
{{- end -}}

{{- /* Redis. */ -}}
{{- define "meridian.redisSecret" -}}
{{- default (printf "%s-redis" (include "meridian.fullname" .)) .Values.redis.existingSecret -}}
{{- end -}}

{{- define "meridian.hasRedis" -}}
{{- if or .Values.redis.url .Values.redis.existingSecret .Values.redis.development.enabled }}true{{ end -}}
{{- end -}}

{{- define "meridian.ownRedisUrl" -}}
{{- if .Values.redis.development.enabled -}}
redis://{{ include "meridian.host" (list . (printf "%s-redis" (include "meridian.fullname" .))) }}:6379
{{- else -}}
{{- .Values.redis.url -}}
{{- end -}}
{{- end -}}

{{- define "meridian.ownRedisEnv" -}}
{{- if include "meridian.hasRedis" . -}}
- name: MERIDIAN_REDIS
  valueFrom: {secretKeyRef: {name: {{ include "meridian.redisSecret" . }}, key: redis-url}}
{{- end -}}
{{- end -}}

{{- /* TLS. */ -}}
{{- define "meridian.tlsServerName" -}}
{{- .Values.tls.serverName | default (include "meridian.host" (list . (include "meridian.fullname" .))) -}}
{{- end -}}

{{- /* As variables: a meridianctl that is run in the pod reads them, too. */ -}}
{{- define "meridian.tlsEnv" -}}
- {name: MERIDIAN_TLS_CERT, value: /etc/meridian/tls/tls.crt}
- {name: MERIDIAN_TLS_KEY, value: /etc/meridian/tls/tls.key}
- {name: MERIDIAN_TLS_CA, value: /etc/meridian/tls/ca.crt}
- {name: MERIDIAN_TLS_SERVER_NAME, value: {{ include "meridian.tlsServerName" . | quote }}}
{{- end -}}

{{- /* The whole folder: of a single file (subPath) pods would never see a renewal. */ -}}
{{- define "meridian.tlsMount" -}}
- {name: tls, mountPath: /etc/meridian/tls, readOnly: true}
{{- end -}}

{{- define "meridian.tlsVolume" -}}
- name: tls
  secret: {secretName: {{ .Values.tls.existingSecret | quote }}, defaultMode: 288}
{{- end -}}

{{- /* Sizes of ours (256MiB, 64MB) and of Kubernetes (768Mi, 1.5Gi) as bytes. */ -}}
{{- define "meridian.bytes" -}}
{{- $number := regexFind "^[0-9.]+" . | float64 -}}
{{- $unit := regexReplaceAll "^[0-9.]+" . "" | trimSuffix "B" -}}
{{- $factors := dict "" 1 "k" 1000 "K" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- mulf $number (get $factors $unit) | int64 -}}
{{- end -}}

{{- /* Durations in whole seconds (s, m, h, also together) as seconds. */ -}}
{{- define "meridian.seconds" -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+[smh]" . -1 -}}
{{- $number := trimSuffix "s" . | trimSuffix "m" | trimSuffix "h" | int -}}
{{- $factor := ternary 1 (ternary 60 3600 (hasSuffix "m" .)) (hasSuffix "s" .) -}}
{{- $sum = add $sum (mul $number $factor) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}
