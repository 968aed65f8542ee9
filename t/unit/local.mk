# One test program for each module: its name in UNIT_TESTS, its file, and the libraries of its room.
UNIT_TESTS =
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)

# base
UNIT_TESTS += t/unit/test_arena t/unit/test_boundary t/unit/test_buf t/unit/test_clock t/unit/test_log t/unit/test_parse t/unit/test_proc t/unit/test_settings
t_unit_test_arena_SOURCES = t/unit/test_arena.c t/unit/tap.h
t_unit_test_arena_LDADD = $(BASE_LIBS)
t_unit_test_buf_SOURCES = t/unit/test_buf.c
t_unit_test_buf_LDADD = $(BASE_LIBS)
t_unit_test_boundary_SOURCES = t/unit/test_boundary.c
t_unit_test_boundary_LDADD = $(BASE_LIBS)
t_unit_test_clock_SOURCES = t/unit/test_clock.c
t_unit_test_clock_LDADD = $(BASE_LIBS)
UNIT_TESTS += t/unit/test_counter
t_unit_test_counter_SOURCES = t/unit/test_counter.c
t_unit_test_counter_LDADD = $(BASE_LIBS)
UNIT_TESTS += t/unit/test_csv
t_unit_test_csv_SOURCES = t/unit/test_csv.c
t_unit_test_csv_LDADD = $(BASE_LIBS)
t_unit_test_log_SOURCES = t/unit/test_log.c
t_unit_test_log_LDADD = $(BASE_LIBS)
t_unit_test_parse_SOURCES = t/unit/test_parse.c
t_unit_test_parse_LDADD = $(BASE_LIBS)
t_unit_test_proc_SOURCES = t/unit/test_proc.c
t_unit_test_proc_LDADD = $(BASE_LIBS)
t_unit_test_settings_SOURCES = t/unit/test_settings.c
t_unit_test_settings_LDADD = $(BASE_LIBS)
UNIT_TESTS += t/unit/test_schema
t_unit_test_schema_SOURCES = t/unit/test_schema.c
t_unit_test_schema_CPPFLAGS = $(AM_CPPFLAGS) -DSRCDIR=\"$(srcdir)\"
t_unit_test_schema_LDADD =

UNIT_TESTS += t/unit/test_guard
t_unit_test_guard_SOURCES = t/unit/test_guard.c
t_unit_test_guard_LDADD = $(DOMAIN_LIBS) $(EXT_LIBS)

# ctl
UNIT_TESTS += t/unit/test_table
t_unit_test_table_SOURCES = t/unit/test_table.c src/ctl/table.c
t_unit_test_table_LDADD = $(IO_LIBS) $(EXT_LIBS)
UNIT_TESTS += t/unit/test_progress
t_unit_test_progress_SOURCES = t/unit/test_progress.c src/ctl/progress.c
t_unit_test_progress_LDADD = $(IO_LIBS) $(EXT_LIBS)

# the parsers of the HTTP interface
UNIT_TESTS += t/unit/test_accept t/unit/test_authorization t/unit/test_multipart t/unit/test_path t/unit/test_query
t_unit_test_accept_SOURCES = t/unit/test_accept.c
t_unit_test_accept_LDADD = $(REST_LIBS)
t_unit_test_authorization_SOURCES = t/unit/test_authorization.c
t_unit_test_authorization_LDADD = $(REST_LIBS)
t_unit_test_multipart_SOURCES = t/unit/test_multipart.c
t_unit_test_multipart_LDADD = $(REST_LIBS)
t_unit_test_path_SOURCES = t/unit/test_path.c
t_unit_test_path_LDADD = $(REST_LIBS)
t_unit_test_query_SOURCES = t/unit/test_query.c
t_unit_test_query_LDADD = $(REST_LIBS)

# domain
UNIT_TESTS += t/unit/test_content
t_unit_test_content_SOURCES = t/unit/test_content.c
t_unit_test_content_LDADD = $(DOMAIN_LIBS)
UNIT_TESTS += t/unit/test_cron
t_unit_test_cron_SOURCES = t/unit/test_cron.c
t_unit_test_cron_LDADD = $(DOMAIN_LIBS)
UNIT_TESTS += t/unit/test_payload
t_unit_test_payload_SOURCES = t/unit/test_payload.c
t_unit_test_payload_LDADD = $(DOMAIN_LIBS) $(JANSSON_LIBS)
UNIT_TESTS += t/unit/test_breaker
t_unit_test_breaker_SOURCES = t/unit/test_breaker.c
t_unit_test_breaker_LDADD = $(DOMAIN_LIBS)
UNIT_TESTS += t/unit/test_lifecycle
t_unit_test_lifecycle_SOURCES = t/unit/test_lifecycle.c
t_unit_test_lifecycle_LDADD = $(DOMAIN_LIBS)
UNIT_TESTS += t/unit/test_job
t_unit_test_job_SOURCES = t/unit/test_job.c
t_unit_test_job_CPPFLAGS = $(AM_CPPFLAGS) -DSRCDIR=\"$(srcdir)\"
t_unit_test_job_LDADD = $(DOMAIN_LIBS) $(EXT_LIBS)
UNIT_TESTS += t/unit/test_scheduler_call
t_unit_test_scheduler_call_SOURCES = t/unit/test_scheduler_call.c
t_unit_test_scheduler_call_LDADD = $(DOMAIN_LIBS) $(EXT_LIBS)

# io
UNIT_TESTS += t/unit/test_json t/unit/test_digest
t_unit_test_json_SOURCES = t/unit/test_json.c
t_unit_test_json_LDADD = $(IO_LIBS) $(EXT_LIBS)
t_unit_test_digest_SOURCES = t/unit/test_digest.c
t_unit_test_digest_LDADD = $(IO_LIBS) $(EXT_LIBS)
UNIT_TESTS += t/unit/test_db
t_unit_test_db_SOURCES = t/unit/test_db.c
t_unit_test_db_LDADD = $(IO_LIBS) $(EXT_LIBS)
UNIT_TESTS += t/unit/test_fcgi
t_unit_test_fcgi_SOURCES = t/unit/test_fcgi.c
t_unit_test_fcgi_LDADD = $(IO_LIBS) $(EXT_LIBS)
UNIT_TESTS += t/unit/test_bus t/unit/test_fetch
t_unit_test_bus_SOURCES = t/unit/test_bus.c
t_unit_test_bus_LDADD = $(IO_LIBS) $(EXT_LIBS)
t_unit_test_fetch_SOURCES = t/unit/test_fetch.c
t_unit_test_fetch_LDADD = $(IO_LIBS) $(EXT_LIBS)
UNIT_TESTS += t/unit/test_metric
t_unit_test_metric_SOURCES = t/unit/test_metric.c
t_unit_test_metric_LDADD = $(DOMAIN_LIBS)
UNIT_TESTS += t/unit/test_openapi
t_unit_test_openapi_SOURCES = t/unit/test_openapi.c
t_unit_test_openapi_LDADD = libapi.a $(REST_LIBS) $(EXT_LIBS)

# the REST kit
UNIT_TESTS += t/unit/test_route t/unit/test_values
t_unit_test_route_SOURCES = t/unit/test_route.c
t_unit_test_route_LDADD = $(REST_LIBS) $(EXT_LIBS)
t_unit_test_values_SOURCES = t/unit/test_values.c
t_unit_test_values_LDADD = $(REST_LIBS) $(EXT_LIBS)
