include t/unit/local.mk
# Tests through the front door, each with a stack of its own.
PERL_TESTS = t/hold.t t/pace.t t/outage.t t/sender-crash.t t/sender-faults.t t/golden.t t/fuzz.t t/demo.t t/stack.t t/schedule.t t/scheduler-sync.t t/scheduler-recorded.t t/scheduler-crash.t t/recorded.t \
	t/identity.t t/send.t t/trigger.t t/worker.t t/lists.t t/ctl.t t/man-examples.t t/openapi.t t/state.t t/programme.t t/webhook.t \
	t/upload.t t/content.t t/nginx.t t/statements.t t/db.t t/layers.t t/tree.t
TESTS += $(PERL_TESTS)
TEST_EXTENSIONS = .t
T_LOG_DRIVER = $(LOG_DRIVER)
T_LOG_COMPILER = $(PERL)
AM_T_LOG_FLAGS = -I$(srcdir)/t/lib
AM_TESTS_ENVIRONMENT = SBM_BUILD='$(abs_builddir)'; export SBM_BUILD;
EXTRA_DIST += t/stack t/demo t/golden-users t/lib t/programme $(PERL_TESTS)
include t/fuzz/local.mk
include t/bench/local.mk
EXTRA_DIST += t/README
# Of t/stack.
clean-local:
	rm -rf clusters
