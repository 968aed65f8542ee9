# The fuzz harnesses: configure with CC=clang --enable-sanitizers --enable-fuzzers, `make fuzzers`, then t/fuzz/run.
EXTRA_DIST += t/fuzz/run t/fuzz/stack t/fuzz/corpus
if FUZZERS
fuzz_programs = t/fuzz/fuzz_accept t/fuzz/fuzz_authorization t/fuzz/fuzz_body t/fuzz/fuzz_filter t/fuzz/fuzz_form \
	t/fuzz/fuzz_multipart t/fuzz/fuzz_path t/fuzz/fuzz_query
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
EXTRA_PROGRAMS += $(fuzz_programs)
fuzzers: $(BUILT_SOURCES)
	$(MAKE) $(AM_MAKEFLAGS) $(fuzz_programs)
CLEANFILES += $(fuzz_programs)

t_fuzz_fuzz_accept_SOURCES = t/fuzz/fuzz_accept.c t/fuzz/fuzz.h
t_fuzz_fuzz_accept_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_accept_LDADD = $(REST_LIBS)
t_fuzz_fuzz_authorization_SOURCES = t/fuzz/fuzz_authorization.c
t_fuzz_fuzz_authorization_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_authorization_LDADD = $(REST_LIBS)
t_fuzz_fuzz_body_SOURCES = t/fuzz/fuzz_body.c t/fuzz/fields.h
t_fuzz_fuzz_body_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_body_LDADD = libapi.a $(REST_LIBS) $(EXT_LIBS)
t_fuzz_fuzz_filter_SOURCES = t/fuzz/fuzz_filter.c t/fuzz/fields.h
t_fuzz_fuzz_filter_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_filter_LDADD = libapi.a $(REST_LIBS) $(EXT_LIBS)
t_fuzz_fuzz_form_SOURCES = t/fuzz/fuzz_form.c t/fuzz/fields.h
t_fuzz_fuzz_form_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_form_LDADD = libapi.a $(REST_LIBS) $(EXT_LIBS)
t_fuzz_fuzz_multipart_SOURCES = t/fuzz/fuzz_multipart.c
t_fuzz_fuzz_multipart_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_multipart_LDADD = $(REST_LIBS)
t_fuzz_fuzz_path_SOURCES = t/fuzz/fuzz_path.c
t_fuzz_fuzz_path_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_path_LDADD = $(REST_LIBS)
t_fuzz_fuzz_query_SOURCES = t/fuzz/fuzz_query.c
t_fuzz_fuzz_query_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_query_LDADD = $(REST_LIBS)
endif
