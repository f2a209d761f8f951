{{- /* What must hold between values; the schema has the rules for each. Included by every workload. */ -}}
{{- define "meridian.checks" -}}
{{- $values := .Values -}}
{{- if not (or $values.insecure $values.tls.enabled) -}}
{{- fail "\n\nWithout TLS whoever reaches the ports may read and write everything. Give tls.enabled=true and tls.existingSecret; or say insecure=true when something else decides who reaches them (networkPolicy.enabled, a mesh)." -}}
{{- end -}}
{{- if and $values.tls.enabled (not $values.tls.existingSecret) -}}
{{- fail "\n\ntls.enabled needs tls.existingSecret: a Secret of this namespace with tls.crt, tls.key and ca.crt. The chart's README.md says how to make one." -}}
{{- end -}}
{{- if and $values.tls.existingSecret (not $values.tls.enabled) -}}
{{- fail "\n\ntls.existingSecret is given, and tls.enabled is false: the ports would be plaintext." -}}
{{- end -}}
{{- $sources := 0 -}}
{{- range list $values.redis.url $values.redis.existingSecret $values.redis.development.enabled -}}
{{- if . -}}{{- $sources = add $sources 1 -}}{{- end -}}
{{- end -}}
{{- if gt $sources 1 -}}
{{- fail "\n\nGive one of redis.url, redis.existingSecret and redis.development.enabled." -}}
{{- end -}}
{{- if and (eq $sources 0) (gt (int $values.coordinator.replicaCount) 1) -}}
{{- fail "\n\nNo Redis: give redis.url, redis.existingSecret, or redis.development.enabled=true. Coordinators agree on their leader there. (One without: coordinator.replicaCount=1, and nothing but the memory of the nodes is a cache.)" -}}
{{- end -}}
{{- if and (eq $sources 0) $values.otherRegions -}}
{{- fail "\n\notherRegions need a Redis of this region: changes are read from it." -}}
{{- end -}}
{{- range $values.otherRegions -}}
{{- if eq .name $values.region -}}
{{- fail (printf "\n\notherRegions has %q, which is this release's own region." .name) -}}
{{- end -}}
{{- if and $values.redis.existingSecret .url -}}
{{- fail (printf "\n\nredis.existingSecret is given: the URL of region %s comes from its key redis-url-%s, not from the values." .name .name) -}}
{{- end -}}
{{- if not (or $values.redis.existingSecret .url) -}}
{{- fail (printf "\n\notherRegions: region %s has no url." .name) -}}
{{- end -}}
{{- end -}}
{{- if $values.networkPolicy.enabled -}}
{{- $ports := list -}}
{{- range $values.networkPolicy.redisPorts -}}{{- $ports = append $ports (int . | toString) -}}{{- end -}}
{{- $urls := list $values.redis.url -}}
{{- range $values.otherRegions -}}{{- $urls = append $urls .url -}}{{- end -}}
{{- range $url := compact $urls -}}
{{- $default := ternary "26379" "6379" (contains "sentinel" (first (splitList "://" $url))) -}}
{{- $hosts := regexReplaceAll "[/?].*$" (regexReplaceAll "^.*@" (last (splitList "://" $url)) "") "" -}}
{{- range $host := splitList "," $hosts -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" | default $default -}}
{{- if not (has $port $ports) -}}
{{- fail (printf "\n\nA Redis is at port %s, which networkPolicy.redisPorts (%s) does not let nodes and coordinators reach." $port (join ", " $ports)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $node := $values.node -}}
{{- $room := include "meridian.bytes" $node.resources.limits.memory | int64 -}}
{{- $l1 := include "meridian.bytes" $node.l1MaxBytes | int64 -}}
{{- $beside := max (include "meridian.bytes" $node.mirrorMaxBytes | int64) (div $l1 4) -}}
{{- $used := add 201326592 $l1 $beside (include "meridian.bytes" $node.hintsMaxBytes | int64) -}}
{{- if gt (int64 $used) $room -}}
{{- fail (printf "\n\nnode.l1MaxBytes (%s), node.mirrorMaxBytes (%s) or a quarter of L1, node.hintsMaxBytes (%s) and 192 MiB for the rest are %d MiB: more than node.resources.limits.memory (%s). The kernel would kill the nodes." $node.l1MaxBytes $node.mirrorMaxBytes $node.hintsMaxBytes (div $used 1048576) $node.resources.limits.memory) -}}
{{- end -}}
{{- $least := add (include "meridian.seconds" $node.drainRolloutWait | int) (include "meridian.seconds" $node.drainDelay | int) 15 -}}
{{- if lt (int $node.terminationGracePeriodSeconds) (int $least) -}}
{{- fail (printf "\n\nnode.terminationGracePeriodSeconds (%d) is less than node.drainRolloutWait, node.drainDelay and 15 s together (%d): nodes would be killed while they drain." (int $node.terminationGracePeriodSeconds) (int $least)) -}}
{{- end -}}
{{- if and (gt (int $node.replicaCount) 1) (ge (int $node.maxUnavailable) (int $node.replicaCount)) -}}
{{- fail (printf "\n\nnode.maxUnavailable (%d) is not less than node.replicaCount (%d): all nodes could be evicted at once." (int $node.maxUnavailable) (int $node.replicaCount)) -}}
{{- end -}}
{{- range $section, $keys := dict "node" (list "id" "region") "listen" (list "insecure" "advertise_host" "data" "peer" "admin" "http" "health") "redis" (list "url" "hints_max_bytes") "l1" (list "max_bytes" "mirror_max_bytes") -}}
{{- range $keys -}}
{{- if hasKey (get $node.config $section | default dict) . -}}
{{- fail (printf "\n\nnode.config.%s.%s is set by the chart itself, from another value." $section .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range list "coordinators" "peers" "regions" "policies" "tiers" "namespaces" "ready_file" "rollout_wait" "drain_delay" "log" "tls" -}}
{{- if hasKey $node.config . -}}
{{- fail (printf "\n\nnode.config.%s is set by the chart itself, from another value (or is of no use here)." .) -}}
{{- end -}}
{{- end -}}
{{- range list "coordinator" "listen" "redis" "ready_file" "log" "tls" -}}
{{- if hasKey $values.coordinator.config . -}}
{{- fail (printf "\n\ncoordinator.config.%s is set by the chart itself, from another value (or is of no use here)." .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
