noinst_LIBRARIES += libio.a
libio_a_SOURCES = \
	src/io/bus.c src/io/bus.h \
	src/io/db.c src/io/db.h \
	src/io/digest.c src/io/digest.h \
	src/io/fcgi.c src/io/fcgi.h \
	src/io/fetch.c src/io/fetch.h \
	src/io/json.c src/io/json.h \
	src/io/sftp.c src/io/sftp.h
nodist_libio_a_SOURCES = src/io/queries.c src/io/queries.h
