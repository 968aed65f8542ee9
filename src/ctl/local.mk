sbin_PROGRAMS += src/sbmctl
src_sbmctl_SOURCES = \
	src/ctl/commands.c src/ctl/ctl.h \
	src/ctl/config.c \
	src/ctl/content.c \
	src/ctl/duplicates.c \
	src/ctl/hold.c \
	src/ctl/identity.c \
	src/ctl/lifecycle.c \
	src/ctl/lint.c \
	src/ctl/main.c \
	src/ctl/messageset.c src/ctl/messageset.h \
	src/ctl/migrate.c \
	src/ctl/parts.c src/ctl/parts.h \
	src/ctl/prepend.c \
	src/ctl/progress.c src/ctl/progress.h \
	src/ctl/queue.c \
	src/ctl/reset.c \
	src/ctl/run.c \
	src/ctl/schedules.c \
	src/ctl/status.c \
	src/ctl/table.c src/ctl/table.h \
	src/ctl/tasks.c \
	src/ctl/takeover.c src/ctl/takeover.h \
	src/ctl/takeover_pass.c \
	src/ctl/token.c \
	src/ctl/user.c \
	src/ctl/verify.c
src_sbmctl_LDADD = $(DOMAIN_LIBS) $(EXT_LIBS)

# All settings at their defaults, from the table.
pkgdata_DATA = sbm.conf.sample
sbm.conf.sample: src/sbmctl
	$(AM_V_GEN)src/sbmctl config sample >$@.new && mv $@.new $@
CLEANFILES += sbm.conf.sample sbm.conf.sample.new
