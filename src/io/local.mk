noinst_LIBRARIES += libio.a
libio_a_SOURCES = \
	src/io/db.c src/io/db.h \
	src/io/json.c src/io/json.h
nodist_libio_a_SOURCES = src/io/queries.c src/io/queries.h
