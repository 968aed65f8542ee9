#include "senderd/wake.h"

#include "base/log.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int fds[WAKE_MAX];

int wake_init(void)
{
	for (int i = 0; i < WAKE_MAX; i++) {
		fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (fds[i] < 0) {
			log_err("could not make an eventfd", log_errno());
			return -1;
		}
	}
	return 0;
}

int wake_fd(int place)
{
	return fds[place];
}

void wake(int place)
{
	uint64_t one = 1;
	/* It fails only when 2^64 wake-ups wait, and then there is no need of another. */
	ssize_t n = write(fds[place], &one, sizeof one);

	(void)n;
}

void wake_senders(void)
{
	for (int i = 0; i < WAKE_SENDERS; i++)
		wake(i);
}

void wake_clear(int place)
{
	uint64_t count;
	ssize_t n = read(fds[place], &count, sizeof count);

	(void)n;
}
