#include "ctl/progress.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_MS 200
#define BAR_MAX 30
/* Columns of a terminal that does not tell. */
#define WIDTH 80

static bool drawn;

void progress_hide(void)
{
	if (drawn)
		fputs("\r\033[K", stderr);
	drawn = false;
}

/* 0:05, 12:34, 3:05:00 */
static void format_time(int64_t seconds, char *out, size_t size)
{
	if (seconds >= 3600)
		snprintf(out, size, "%" PRId64 ":%02d:%02d", seconds / 3600, (int)(seconds / 60 % 60), (int)(seconds % 60));
	else
		snprintf(out, size, "%d:%02d", (int)(seconds / 60), (int)(seconds % 60));
}

static void format_bar(const struct progress *p, int room, char out[BAR_MAX + 4])
{
	int length = room < BAR_MAX ? room : BAR_MAX, full;

	out[0] = 0;
	if (length < 5 || p->total <= 0)
		return;
	full = p->done >= p->total ? length : (int)((double)p->done / (double)p->total * length);
	out[0] = '[';
	memset(out + 1, '#', (size_t)full);
	memset(out + 1 + full, '.', (size_t)(length - full));
	strcpy(out + 1 + length, "] ");
}

void progress_format(const struct progress *p, int64_t now_ms, int width, char out[PROGRESS_LINE_SIZE])
{
	int64_t ms = now_ms > p->began_ms ? now_ms - p->began_ms : 1;
	double rate = (double)p->done * 1000 / (double)ms;
	char text[160], left[64] = "", bar[BAR_MAX + 4];

	if (p->total <= 0) {
		snprintf(text, sizeof text, "%" PRId64 " %.40s  %.0f/s", p->done, p->what, rate);
	} else {
		int percent = p->done >= p->total ? 100 : (int)((double)p->done / (double)p->total * 100);

		if (p->done > 0 && p->done < p->total) {
			format_time((int64_t)((double)(p->total - p->done) / rate + 0.5), left, sizeof left - 8);
			strcat(left, " left");
		}
		snprintf(text, sizeof text, "%3d%%  %" PRId64 " of %" PRId64 " %.40s  %.0f/s  %s", percent, p->done, p->total, p->what, rate, left);
	}
	format_bar(p, width - 4 - (int)strlen(text), bar);
	snprintf(out, PROGRESS_LINE_SIZE, "%s%s", bar, text);
	if (width > 0 && width < PROGRESS_LINE_SIZE && strlen(out) > (size_t)width)
		out[width] = 0;
}

static int terminal_width(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col - 1 : WIDTH - 1;
}

static void draw(struct progress *p)
{
	int64_t now = clock_monotonic_ms();
	char line[PROGRESS_LINE_SIZE];

	if (p->silent || (p->drawn_ms && now - p->drawn_ms < DRAW_MS))
		return;
	p->drawn_ms = now;
	progress_format(p, now, terminal_width(), line);
	fflush(stdout);
	fprintf(stderr, "\r%s\033[K", line);
	fflush(stderr);
	drawn = true;
}

void progress_begin(struct progress *p, const char *what, int64_t total)
{
	*p = (struct progress){.what = what, .total = total, .began_ms = clock_monotonic_ms(), .silent = !isatty(STDERR_FILENO)};
	/* What is done at once shows nothing. */
	p->drawn_ms = p->began_ms;
}

void progress_set(struct progress *p, int64_t done)
{
	p->done = done;
	draw(p);
}

void progress_add(struct progress *p, int64_t n)
{
	progress_set(p, p->done + n);
}

void progress_end(struct progress *p)
{
	progress_hide();
	*p = (struct progress){.silent = true};
}
