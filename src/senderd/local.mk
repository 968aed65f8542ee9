sbin_PROGRAMS += src/sbm-senderd
src_sbm_senderd_SOURCES = \
	src/senderd/addresses.c src/senderd/addresses.h \
	src/senderd/audio.c src/senderd/audio.h \
	src/senderd/calls.c src/senderd/calls.h \
	src/senderd/claim.c src/senderd/claim.h \
	src/senderd/dispatcher.c src/senderd/dispatcher.h \
	src/senderd/evidence.c src/senderd/evidence.h \
	src/senderd/exchange.c src/senderd/exchange.h \
	src/senderd/jobs.c src/senderd/jobs.h \
	src/senderd/keeper.c src/senderd/keeper.h \
	src/senderd/main.c \
	src/senderd/meter.c src/senderd/meter.h \
	src/senderd/metrics.c src/senderd/metrics.h \
	src/senderd/outlog.c src/senderd/outlog.h \
	src/senderd/scheduler.c src/senderd/scheduler.h \
	src/senderd/sender.c src/senderd/sender.h \
	src/senderd/syncer.c src/senderd/syncer.h \
	src/senderd/tally.c src/senderd/tally.h \
	src/senderd/wake.c src/senderd/wake.h \
	src/senderd/watch.c src/senderd/watch.h \
	src/senderd/way.c src/senderd/way.h
src_sbm_senderd_LDADD = $(DOMAIN_LIBS) $(EXT_LIBS)
