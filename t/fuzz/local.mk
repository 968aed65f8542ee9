# The fuzz harnesses: configure with CC=clang --enable-sanitizers --enable-fuzzers, `make fuzzers`, then t/fuzz/run.
EXTRA_DIST += t/fuzz/run t/fuzz/corpus
if FUZZERS
fuzz_programs = t/fuzz/fuzz_accept t/fuzz/fuzz_authorization t/fuzz/fuzz_multipart t/fuzz/fuzz_path t/fuzz/fuzz_query
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
EXTRA_PROGRAMS += $(fuzz_programs)
fuzzers: $(fuzz_programs)
CLEANFILES += $(fuzz_programs)

t_fuzz_fuzz_accept_SOURCES = t/fuzz/fuzz_accept.c t/fuzz/fuzz.h
t_fuzz_fuzz_accept_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_accept_LDADD = $(REST_LIBS)
t_fuzz_fuzz_authorization_SOURCES = t/fuzz/fuzz_authorization.c
t_fuzz_fuzz_authorization_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_authorization_LDADD = $(REST_LIBS)
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
