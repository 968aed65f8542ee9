EXTRA_PROGRAMS += sbm-api
sbm_api_SOURCES = src/api/main.c src/api/worker.c src/api/worker.h src/api/routes.h
sbm_api_LDADD = $(REST_LIBS) $(EXT_LIBS)
