"""What the service tells whoever runs it: metrics, logs and traces. None of it is the audit log, none of it is evidence.

metrics       the numbers, in a Prometheus registry of the application's own
requests      one id, one log line and one measurement a request
logs          log records as JSON lines, credentials blotted out
routes        GET /metrics
tracing       what FastAPI's own OpenTelemetry spans are told to be

Labels are few and closed: a route's template, a method, a status, an error code, a queue. Never a name, an id or a text.
"""
