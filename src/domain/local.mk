noinst_LIBRARIES += libdomain.a
libdomain_a_SOURCES =
libdomain_a_SOURCES += src/domain/schema.c src/domain/schema.h
libdomain_a_SOURCES += src/domain/delivery.c src/domain/delivery.h src/domain/queue.c src/domain/queue.h
libdomain_a_SOURCES += src/domain/content.c src/domain/content.h
libdomain_a_SOURCES += src/domain/zone.c src/domain/zone.h
libdomain_a_SOURCES += src/domain/cron.c src/domain/cron.h
