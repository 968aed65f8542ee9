# The statements of sql/queries become src/io/queries.h (an enum) and queries.c (an array).
QUERY_FILES = $(wildcard $(srcdir)/sql/queries/*.sql)
src/io/queries.stamp: $(QUERY_FILES) sql/gen-queries
	@mkdir -p src/io
	$(AM_V_GEN)$(PERL) $(srcdir)/sql/gen-queries src/io/queries $(QUERY_FILES) && touch $@
# A recipe, so that make looks at their times anew and makes what depends on them in the same run.
src/io/queries.h src/io/queries.c: src/io/queries.stamp
	@:
BUILT_SOURCES += src/io/queries.h
CLEANFILES += src/io/queries.h src/io/queries.c src/io/queries.stamp
EXTRA_DIST += sql/gen-queries sql/grants.sql sql/invariants.sql sql/migrations sql/queries sql/roles.sql

sqldir = $(pkgdatadir)/sql/migrations
install-data-hook:
	$(MKDIR_P) "$(DESTDIR)$(sqldir)"
	$(INSTALL_DATA) $(srcdir)/sql/migrations/*.sql "$(DESTDIR)$(sqldir)"
	$(INSTALL_DATA) $(srcdir)/sql/grants.sql $(srcdir)/sql/invariants.sql $(srcdir)/sql/roles.sql "$(DESTDIR)$(pkgdatadir)/sql"
uninstall-hook:
	rm -rf "$(DESTDIR)$(pkgdatadir)/sql"
