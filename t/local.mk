include t/unit/local.mk
EXTRA_DIST += t/stack
