include t/unit/local.mk
EXTRA_DIST += t/stack
include t/fuzz/local.mk
