include t/unit/local.mk
# Tests through the front door, each with a stack of its own.
PERL_TESTS =
PERL_TESTS += t/audio.t
PERL_TESTS += t/backup.t
PERL_TESTS += t/content.t t/content-csv.t t/lint.t
PERL_TESTS += t/ctl.t
PERL_TESTS += t/db.t
PERL_TESTS += t/demo.t
PERL_TESTS += t/die-at.t
PERL_TESTS += t/faults.t
PERL_TESTS += t/fuzz.t
PERL_TESTS += t/golden.t
PERL_TESTS += t/hold.t
PERL_TESTS += t/identity.t
PERL_TESTS += t/import-django.t
PERL_TESTS += t/jobs.t
PERL_TESTS += t/layers.t
PERL_TESTS += t/lifecycle.t
PERL_TESTS += t/lists.t
PERL_TESTS += t/log.t
PERL_TESTS += t/man-examples.t
PERL_TESTS += t/metrics.t
PERL_TESTS += t/nginx.t
PERL_TESTS += t/openapi.t
PERL_TESTS += t/outage.t
PERL_TESTS += t/pace.t
PERL_TESTS += t/programme.t
PERL_TESTS += t/prometheus.t
PERL_TESTS += t/recorded.t
PERL_TESTS += t/repair.t
PERL_TESTS += t/roles.t
PERL_TESTS += t/schedule.t
PERL_TESTS += t/scheduler-crash.t
PERL_TESTS += t/scheduler-recorded.t
PERL_TESTS += t/scheduler-sync.t
PERL_TESTS += t/send.t
PERL_TESTS += t/sender-crash.t
PERL_TESTS += t/sender-faults.t
PERL_TESTS += t/stack.t
PERL_TESTS += t/state.t
PERL_TESTS += t/statements.t
PERL_TESTS += t/tree.t
PERL_TESTS += t/trigger.t
PERL_TESTS += t/units.t
PERL_TESTS += t/upload.t
PERL_TESTS += t/webhook.t
PERL_TESTS += t/worker.t
TESTS += $(PERL_TESTS)
TEST_EXTENSIONS = .t
T_LOG_DRIVER = $(LOG_DRIVER)
T_LOG_COMPILER = $(PERL)
AM_T_LOG_FLAGS = -I$(srcdir)/t/lib
AM_TESTS_ENVIRONMENT = SBM_BUILD='$(abs_builddir)'; export SBM_BUILD;
EXTRA_DIST += t/prometheus.rules.yml t/original t/stack t/demo t/golden-users t/lib t/programme $(PERL_TESTS)
include t/fuzz/local.mk
include t/bench/local.mk
EXTRA_DIST += t/README
# Of t/stack.
clean-local: clusters-clean
clusters-clean:
	rm -rf clusters
.PHONY: clusters-clean
