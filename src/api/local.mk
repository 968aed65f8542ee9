noinst_LIBRARIES += libapi.a
libapi_a_SOURCES = src/api/binarycontent.c src/api/hold.c src/api/member.c src/api/member.h src/api/message.c src/api/messageset.c src/api/path.c src/api/resources.h \
	src/api/root.c src/api/routes.c src/api/routes.h src/api/schedule.c src/api/subscription.c

sbin_PROGRAMS += src/sbm-api
src_sbm_api_SOURCES = src/api/main.c src/api/worker.c src/api/worker.h
src_sbm_api_LDADD = libapi.a $(REST_LIBS) $(EXT_LIBS)
libapi_a_SOURCES += src/api/arg.c src/api/arg.h src/api/handlers.h src/api/identity.c src/api/list.c src/api/list.h src/api/outlook.c src/api/progress.c src/api/prometheus.c \
	src/api/schemas.c src/api/send.c src/api/state.c src/api/task.c src/api/token.c src/api/trouble.c src/api/webhook.c
