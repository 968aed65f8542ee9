include t/unit/local.mk
