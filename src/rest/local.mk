noinst_LIBRARIES += librest.a
librest_a_SOURCES = src/rest/parse_accept.c src/rest/parse_accept.h src/rest/parse_authorization.c \
	src/rest/parse_authorization.h src/rest/parse_multipart.c src/rest/parse_multipart.h src/rest/parse_path.c \
	src/rest/parse_path.h src/rest/parse_query.c src/rest/parse_query.h src/rest/parse_text.c src/rest/parse_text.h
