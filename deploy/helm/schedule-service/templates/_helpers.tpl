{{- define "labels" -}}
app.kubernetes.io/name: schedule-service
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "all-labels" -}}
{{ include "labels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "secret-key" -}}
secretKeyRef: {name: {{ .secret }}, key: {{ .key }}, optional: {{ .optional | default false }}}
{{- end }}

{{- /* The settings that every container has, whatever it runs. */ -}}
{{- define "env" -}}
- name: KAFKA_BROKERS
  value: {{ .Values.kafkaBrokers | quote }}
{{- range $name, $value := .Values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range .Values.secretEnv }}
- name: {{ . }}
  valueFrom:
    {{- include "secret-key" (dict "secret" $.Values.secret "key" .) | nindent 4 }}
{{- end }}
{{- end }}

{{- define "pod-security" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "container-security" -}}
image: {{ include "image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- /* The roles that run somewhere, with a comma before and behind each. */ -}}
{{- define "roles" -}}
,{{ range .Values.deployments }}{{ if .enabled }}{{ .roles | default "" }},{{ end }}{{ end }}
{{- end }}
