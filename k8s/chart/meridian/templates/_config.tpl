{{- /* The files that the programs read, as docs/config.md has them. */ -}}
{{- define "meridian.node.yaml" -}}
{{- $name := include "meridian.fullname" . -}}
{{- $service := include "meridian.host" (list . (printf "%s-coordinator" $name)) -}}
{{- $headless := include "meridian.host" (list . (printf "%s-coordinators" $name)) -}}
{{- $node := .Values.node -}}
{{- /* By the Service, whose address stays, and to each coordinator itself. */ -}}
{{- $ours := dict "node" (dict "region" .Values.region)
  "listen" (dict "data" "0.0.0.0:7400" "peer" "0.0.0.0:7401" "admin" "0.0.0.0:7402" "http" "0.0.0.0:7403")
  "coordinators" (list (printf "%s:7410" $service) (printf "%s:7410" $headless))
  "rollout_wait" $node.drainRolloutWait
  "drain_delay" $node.drainDelay
  "l1" (dict "max_bytes" $node.l1MaxBytes "mirror_max_bytes" $node.mirrorMaxBytes)
  "redis" (dict "hints_max_bytes" $node.hintsMaxBytes)
  "log" (dict "level" .Values.log.level "format" .Values.log.format) -}}
{{- if .Values.tls.enabled -}}
{{- $ours = mergeOverwrite $ours (dict "listen" (dict "health" "0.0.0.0:7404") "tls" (dict "client_auth" .Values.tls.clientAuth)) -}}
{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy $node.config) $ours) -}}
{{- end -}}

{{- define "meridian.coordinator.yaml" -}}
{{- $ours := dict "coordinator" (dict "region" .Values.region)
  "listen" (dict "grpc" "0.0.0.0:7410" "http" "0.0.0.0:7413")
  "log" (dict "level" .Values.log.level "format" .Values.log.format) -}}
{{- if .Values.tls.enabled -}}
{{- $ours = mergeOverwrite $ours (dict "listen" (dict "health" "0.0.0.0:7411")) -}}
{{- end -}}
{{- $config := mergeOverwrite (deepCopy .Values.coordinator.config) $ours -}}
{{- with .Values.coordinator.warming -}}
{{- $config = mergeOverwrite (dict "warming" (deepCopy .)) $config -}}
{{- end -}}
{{- with .Values.coordinator.externalUrl -}}
{{- $config = mergeOverwrite $config (dict "alerts" (dict "external_url" .)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}
