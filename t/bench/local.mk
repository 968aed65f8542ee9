# Benchmarks: they print, and assert only that everyone was served.
check_PROGRAMS += t/bench/load
t_bench_load_SOURCES = t/bench/load.c
t_bench_load_LDADD =
EXTRA_DIST += t/bench/Bench.pm t/bench/api t/bench/behind t/bench/fcgi t/bench/kills t/bench/latency t/bench/pages t/bench/send t/bench/soak t/bench/takeover
check_PROGRAMS += t/bench/sink
t_bench_sink_SOURCES = t/bench/sink.c
t_bench_sink_LDADD =
check_PROGRAMS += t/bench/calls
t_bench_calls_SOURCES = t/bench/calls.c
t_bench_calls_LDADD = $(IO_LIBS) $(EXT_LIBS)
