noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	src/base/arena.c src/base/arena.h \
	src/base/assert.c src/base/assert.h \
	src/base/boundary.c src/base/boundary.def src/base/boundary.h \
	src/base/buf.c src/base/buf.h \
	src/base/clock.c src/base/clock.h \
	src/base/counter.c src/base/counter.def src/base/counter.h \
	src/base/csv.c src/base/csv.h \
	src/base/log.c src/base/log.h \
	src/base/parse.c src/base/parse.h \
	src/base/proc.c src/base/proc.h \
	src/base/settings.c src/base/settings.def src/base/settings.h \
	src/base/usage.c src/base/usage.h
