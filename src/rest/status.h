#ifndef REST_STATUS_H
#define REST_STATUS_H

/* The statuses that this service answers with. */
struct status {
	int code;
	const char *reason;
};
#define STATUSES 21
/* The last one stands for all others; its code is 0. */
extern const struct status statuses[STATUSES];

/* Its place in statuses. */
int status_find(int code);

#endif
