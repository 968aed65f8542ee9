#include "base/arena.h"
#include "tap.h"

#include <stdalign.h>

static int order[4], released;

static void note_release(void *object)
{
	order[released++] = *(int *)object;
}

static void test_alloc(void)
{
	struct arena *arena = arena_create(1 << 20);
	unsigned char *p = arena_alloc(arena, 100), *q = arena_alloc(arena, 3);
	bool zero = true;
	int *numbers;

	for (int i = 0; i < 100; i++)
		zero = zero && p[i] == 0;
	ok(zero, "memory is zeroed");
	ok((uintptr_t)q % alignof(max_align_t) == 0, "memory is aligned");
	memset(p, 'x', 100);
	arena_reset(arena);
	p = arena_alloc(arena, 100);
	ok(p[0] == 0 && p[99] == 0, "memory is zeroed after a reset too");
	numbers = arena_array(arena, 10, sizeof(*numbers));
	numbers[9] = 7;
	ok(arena_alloc(arena, 0) != NULL, "an allocation of 0 bytes is no NULL");
	p = arena_alloc(arena, 500000);
	p[499999] = 1;
	ok(p != NULL, "more than a block fits");
	for (int i = 0; i < 100; i++) {
		arena_reset(arena);
		arena_alloc(arena, 1000000);
	}
	ok(true, "a reset frees the budget");
	arena_free(arena);
	arena_free(NULL);
}

static void test_text(void)
{
	struct arena *arena = arena_create(1000);

	is_str(arena_strdup(arena, "schedule"), "schedule", "strdup");
	is_str(arena_strdup(arena, ""), "", "strdup of nothing");
	is_str(arena_strndup(arena, "schedule", 5), "sched", "strndup");
	is_str(arena_printf(arena, "%s/%d", "run", 17), "run/17", "printf");
	arena_free(arena);
}

static void test_own(void)
{
	struct arena *arena = arena_create(1000);
	int a = 1, b = 2;

	arena_own(arena, note_release, &a);
	arena_own(arena, note_release, NULL);
	arena_own(arena, note_release, &b);
	is_int(released, 0, "nothing is released before the reset");
	arena_reset(arena);
	is_int(released, 2, "owned objects are released once");
	ok(order[0] == 2 && order[1] == 1, "the last one first");
	arena_free(arena);
	is_int(released, 2, "and not again");
}

int main(void)
{
	test_alloc();
	test_text();
	test_own();
	return tap_done();
}
