#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "rest/field.h"
#include "rest/route.h"

/* The handlers that are no table resource; routes.c says where each is reached. */

/* token.c */
extern const struct field token_email_fields[], token_login_fields[];
int token_create(struct req *);
int token_login(struct req *);

/* webhook.c: the Hub's webhook */
int webhook_receive(struct req *);

/* send.c */
int send_next(struct req *);
int send_again(struct req *);

/* identity.c */
int identity_opt_out(struct req *);

/* trouble.c: failed tasks and subscriptions that are behind */
int trouble_list_failed(struct req *);
int trouble_show_failed(struct req *);
int trouble_list_behind(struct req *);
int trouble_show_behind(struct req *);

/* task.c: what the daemon computes in the background */
int task_requeue(struct req *);
int task_find_behind(struct req *);
int task_estimate(struct req *);
int task_sync_audio(struct req *);
int task_fire_metrics(struct req *);
int task_list_metrics(struct req *);
int task_list_jobs(struct req *);
int task_show_job(struct req *);

/* progress.c: what was sent, and what is on its way */
int progress_list_deliveries(struct req *);
int progress_list_runs(struct req *);
int progress_show_run(struct req *);

/* hold.c: runs that are held for their size */
int hold_release_run(struct req *);
int hold_cancel_run(struct req *);

/* outlook.c: what is to come */
extern const struct route_param outlook_params[];
int outlook_list_upcoming(struct req *);
int outlook_forecast(struct req *);

/* state.c: the service itself */
int state_show_health(struct req *);
int state_show_alive(struct req *);
int state_show_ready(struct req *);
int state_show_openapi(struct req *);

/* prometheus.c */
int prometheus_show(struct req *);

#endif
