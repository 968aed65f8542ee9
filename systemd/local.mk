# The units, the same hardening in each.
systemdsystemunit_DATA = systemd/sbm-api.service systemd/sbm-senderd.service
dist_sysusers_DATA = systemd/sysusers.d/sbm.conf
dist_tmpfiles_DATA = systemd/tmpfiles.d/sbm.conf
EXTRA_DIST += systemd/sbm-api.service.in systemd/sbm-senderd.service.in systemd/hardening.in
CLEANFILES += $(systemdsystemunit_DATA)

MAKE_UNIT = $(AM_V_GEN)mkdir -p systemd && sed -e '/^@hardening@$$/{r $(srcdir)/systemd/hardening.in' -e 'd;}' \
	-e 's|@sbindir[@]|$(sbindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g'
systemd/sbm-api.service: systemd/sbm-api.service.in systemd/hardening.in Makefile
	$(MAKE_UNIT) $(srcdir)/systemd/sbm-api.service.in > $@.new && mv $@.new $@
systemd/sbm-senderd.service: systemd/sbm-senderd.service.in systemd/hardening.in Makefile
	$(MAKE_UNIT) $(srcdir)/systemd/sbm-senderd.service.in > $@.new && mv $@.new $@
