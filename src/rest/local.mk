noinst_LIBRARIES += librest.a
librest_a_SOURCES =
