include t/unit/local.mk
EXTRA_DIST += t/stack t/demo t/golden-users
include t/fuzz/local.mk
