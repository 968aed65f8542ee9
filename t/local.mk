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
