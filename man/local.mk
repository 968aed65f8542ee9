# The list of settings in sbm.conf(5) is kept up with: man/gen-settings src/sbmctl man/sbm.conf.5
dist_man_MANS += man/sbm.7 man/sbm-http.7 man/sbm-metrics.7 man/sbm-takeover.7 man/sbm-content.5 man/sbm.conf.5 man/sbm-api.8 man/sbm-senderd.8 man/sbmctl.8
EXTRA_DIST += man/gen-settings
