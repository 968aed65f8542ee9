# Alerts for Prometheus and a dashboard for Grafana, to be taken into theirs.
prometheusdir = $(pkgdatadir)/prometheus
dist_prometheus_DATA = prometheus/sbm.rules.yml prometheus/grafana.json
