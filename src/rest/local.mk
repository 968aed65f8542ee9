noinst_LIBRARIES += librest.a
librest_a_SOURCES = src/rest/parse_accept.c src/rest/parse_accept.h src/rest/parse_authorization.c \
	src/rest/parse_authorization.h src/rest/parse_multipart.c src/rest/parse_multipart.h src/rest/parse_path.c \
	src/rest/parse_path.h src/rest/parse_query.c src/rest/parse_query.h src/rest/parse_text.c src/rest/parse_text.h \
	src/rest/account.c src/rest/account.h src/rest/auth.c src/rest/body.c src/rest/etag.c src/rest/exposition.c src/rest/exposition.h src/rest/field.c src/rest/field.h src/rest/filter.c \
	src/rest/filter.h src/rest/idempotency.c src/rest/kit.h src/rest/openapi.c src/rest/openapi.h src/rest/options.c src/rest/page.c \
	src/rest/page.h src/rest/python.c src/rest/python.h src/rest/request.c src/rest/request.h src/rest/resource.c \
	src/rest/resource.h src/rest/resource_list.c src/rest/rest.c src/rest/rest.h src/rest/route.c src/rest/route.h \
	src/rest/statements.c src/rest/status.c src/rest/status.h
