# The list of settings in sbm.conf(5) is kept up with: man/gen-settings src/sbmctl man/sbm.conf.5
dist_man_MANS += man/sbm-api.8
dist_man_MANS += man/sbm-backup.7
dist_man_MANS += man/sbm-content.5
dist_man_MANS += man/sbm-http.7
dist_man_MANS += man/sbm-metrics.7
dist_man_MANS += man/sbm-senderd.8
dist_man_MANS += man/sbm-takeover.7
dist_man_MANS += man/sbm.7
dist_man_MANS += man/sbm.conf.5
dist_man_MANS += man/sbmctl.8
EXTRA_DIST += man/gen-settings
