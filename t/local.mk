include t/unit/local.mk
# Tests through the front door, each with a stack of its own.
PERL_TESTS = t/layers.t
TESTS += $(PERL_TESTS)
TEST_EXTENSIONS = .t
T_LOG_DRIVER = $(LOG_DRIVER)
T_LOG_COMPILER = $(PERL)
AM_T_LOG_FLAGS = -I$(srcdir)/t/lib
AM_TESTS_ENVIRONMENT = SBM_BUILD='$(abs_builddir)'; export SBM_BUILD;
EXTRA_DIST += t/stack t/demo t/golden-users t/lib t/programme $(PERL_TESTS)
include t/fuzz/local.mk
include t/bench/local.mk
EXTRA_DIST += t/README \
	t/content.t t/ctl.t t/demo.t t/lists.t t/openapi.t t/outage.t t/programme.t t/schedule.t t/send.t t/statements.t \
	t/tree.t t/trigger.t t/upload.t t/webhook.t t/worker.t

# The stories, through whole stacks.  PROVE_FLAGS=-v, STORIES=t/send.t
STORIES = $(srcdir)/t/*.t
PROVE_FLAGS = -j3
check-stack: all
	SBM_BUILD='$(abs_builddir)' prove -I '$(srcdir)/t/lib' $(PROVE_FLAGS) $(STORIES)
.PHONY: check-stack
