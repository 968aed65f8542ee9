#include "api/routes.h"

/* Schemas of answers and bodies that no table of fields describes. */

#define ID "{\"type\":\"integer\",\"minimum\":1}"
#define ID_OR_NULL "{\"type\":[\"integer\",\"null\"]}"
#define COUNT "{\"type\":\"integer\",\"minimum\":0}"
#define COUNT_OR_NULL "{\"type\":[\"integer\",\"null\"],\"minimum\":0}"
#define TEXT "{\"type\":\"string\"}"
#define TEXT_OR_NULL "{\"type\":[\"string\",\"null\"]}"
#define BOOLEAN "{\"type\":\"boolean\"}"
#define UUID "{\"type\":\"string\",\"format\":\"uuid\"}"
#define URI "{\"type\":\"string\",\"format\":\"uri\"}"
#define TIME "{\"type\":\"string\",\"format\":\"date-time\"}"
#define TIME_OR_NULL "{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}"
#define REF(NAME) "{\"$ref\":\"#/components/schemas/" NAME "\"}"
#define NULL_OR(SCHEMA) "{\"oneOf\":[{\"type\":\"null\"}," SCHEMA "]}"
#define ARRAY(ITEMS) "{\"type\":\"array\",\"items\":" ITEMS "}"
#define MAP(VALUES) "{\"type\":\"object\",\"additionalProperties\":" VALUES "}"
#define OBJECT(PROPERTIES) "{\"type\":\"object\",\"properties\":{" PROPERTIES "}}"
#define KEY(NAME, SCHEMA) "\"" NAME "\":" SCHEMA

const struct openapi_schema api_schemas[] = {
	{"Empty", "{\"type\":\"object\"}"},
	{"Text", "{\"type\":\"string\"}"},
	{"Error", OBJECT(KEY("detail", TEXT))},
	{"Errors", "{\"description\":\"A detail, a list of messages, or the messages of each field.\",\"oneOf\":["
		OBJECT(KEY("detail", TEXT)) "," ARRAY(TEXT) "," MAP("{}") "]}"},
	{"Root", "{\"type\":\"object\",\"additionalProperties\":" URI "}"},
	{"Accepted", OBJECT(KEY("accepted", BOOLEAN) "," KEY("reason", TEXT))},
	{"OptOut", OBJECT(KEY("identity", TEXT) "," KEY("subscriptions", COUNT) "," KEY("deactivated", COUNT) ","
		KEY("cancelled", COUNT) "," KEY("under_way", COUNT))},
	{"Task", OBJECT(KEY("accepted", BOOLEAN) "," KEY("task_id", UUID))},
	{"AudioSync", OBJECT(KEY("sync_audio_files_initiated", BOOLEAN) "," KEY("task_id", UUID))},
	{"Requeued", OBJECT(KEY("requeued_failed_tasks", BOOLEAN))},
	{"MetricsFired", OBJECT(KEY("scheduled_metrics_initiated", BOOLEAN))},
	{"Metrics", OBJECT(KEY("metrics_available", ARRAY(TEXT)))},
	{"Token", OBJECT(KEY("token", "{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{40}$\"}"))},
	{"Health", OBJECT(KEY("up", BOOLEAN) "," KEY("result", OBJECT(
		KEY("database", TEXT) "," KEY("version", TEXT) "," KEY("libraries", MAP(TEXT)))))},
	{"Alive", OBJECT(KEY("alive", BOOLEAN))},
	{"Ready", OBJECT(KEY("ready", BOOLEAN) "," KEY("detail", TEXT))},
	{"Openapi", "{\"type\":\"object\",\"description\":\"This document.\"}"},
	{"SubscriptionRequest", "{\"type\":\"object\",\"required\":[\"data\"],\"properties\":{"
		KEY("data", "{\"allOf\":[" REF("SubscriptionInput") "," OBJECT(
			KEY("id", "{\"type\":[\"string\",\"integer\"],\"description\":\"The Hub's id of the request: a second delivery of it makes no second subscription.\"}"))
			"]}") "," KEY("hook", "{\"type\":\"object\"}") "}}"},
	{"BinaryContent", OBJECT(KEY("id", ID) "," KEY("content", URI))},
	{"MessageContent", OBJECT(
		KEY("id", ID) "," KEY("messageset", ID) "," KEY("sequence_number", "{\"type\":\"integer\"}") "," KEY("lang", TEXT) ","
		KEY("text_content", TEXT_OR_NULL) "," KEY("binary_content", NULL_OR(REF("BinaryContent"))) ","
		KEY("created_at", TIME) "," KEY("updated_at", TIME))},
	{"MessageSetMessages", OBJECT(
		KEY("id", ID) "," KEY("short_name", TEXT) "," KEY("notes", TEXT_OR_NULL) "," KEY("next_set", ID_OR_NULL) ","
		KEY("default_schedule", ID) "," KEY("messages", ARRAY(REF("MessageContent"))) ","
		KEY("created_at", TIME) "," KEY("updated_at", TIME))},
	{"Languages", MAP(ARRAY(TEXT))},
	{"FailedTask", OBJECT(
		KEY("url", URI) "," KEY("id", ID) "," KEY("subscription", URI) "," KEY("subscription_id", UUID) ","
		KEY("task_id", UUID) "," KEY("initiated_at", TIME) "," KEY("reason", TEXT))},
	{"BehindSubscription", OBJECT(
		KEY("id", ID) "," KEY("subscription", URI) "," KEY("subscription_id", UUID) "," KEY("messages_behind", COUNT) ","
		KEY("current_messageset", URI) "," KEY("current_messageset_id", ID) "," KEY("current_messageset_name", TEXT) ","
		KEY("current_sequence_number", "{\"type\":\"integer\"}") ","
		KEY("expected_messageset", URI) "," KEY("expected_messageset_id", ID) "," KEY("expected_messageset_name", TEXT) ","
		KEY("expected_sequence_number", "{\"type\":\"integer\"}") "," KEY("created_at", TIME))},
	{"Delivery", OBJECT(
		KEY("id", UUID) ","
		KEY("state", "{\"enum\":[\"queued\",\"sending\",\"sent\",\"failed\",\"dry_run\",\"cancelled\"]}") ","
		KEY("kind", "{\"enum\":[\"next\",\"resend\"]}") "," KEY("messageset", ID_OR_NULL) ","
		KEY("sequence_number", ID_OR_NULL) "," KEY("lang", TEXT_OR_NULL) "," KEY("message", ID_OR_NULL) ","
		KEY("to_addr", TEXT_OR_NULL) "," KEY("outbound_id", TEXT_OR_NULL) "," KEY("reason", TEXT_OR_NULL) ","
		KEY("run", ID_OR_NULL) "," KEY("tries", COUNT) "," KEY("request_id", TEXT_OR_NULL) ","
		KEY("created_at", TIME) "," KEY("finished_at", TIME_OR_NULL))},
	{"Run", OBJECT(
		KEY("url", URI) "," KEY("id", ID) "," KEY("schedule", ID) "," KEY("minute", TIME) ","
		KEY("source", "{\"enum\":[\"api\",\"scheduler\",\"admin\"]}") "," KEY("created_at", TIME) ","
		KEY("fanned_at", TIME_OR_NULL) "," KEY("finished_at", TIME_OR_NULL) "," KEY("queued", COUNT) ","
		KEY("skipped", COUNT) "," KEY("sent", COUNT) "," KEY("failed", COUNT) "," KEY("cancelled", COUNT) ","
		KEY("request_id", TEXT_OR_NULL) "," KEY("held_at", TIME_OR_NULL) "," KEY("held_messages", COUNT_OR_NULL) ","
		KEY("held_expected", COUNT_OR_NULL) "," KEY("released_at", TIME_OR_NULL) "," KEY("per_second", "{\"type\":\"number\"}") ","
		KEY("seconds_left", COUNT_OR_NULL))},
	{"Job", OBJECT(
		KEY("url", URI) "," KEY("id", UUID) ","
		KEY("kind", "{\"enum\":[\"requeue_failed\",\"find_behind\",\"estimate\",\"metrics\",\"sync_audio\"]}") ","
		KEY("state", "{\"enum\":[\"waiting\",\"working\",\"done\",\"failed\"]}") "," KEY("created_at", TIME) ","
		KEY("started_at", TIME_OR_NULL) "," KEY("finished_at", TIME_OR_NULL) "," KEY("outcome", TEXT_OR_NULL) ","
		KEY("error", TEXT_OR_NULL) "," KEY("request_id", TEXT_OR_NULL))},
	{"UpcomingMessage", OBJECT(
		KEY("date", TIME) "," KEY("schedule", ID) "," KEY("messageset", ID) "," KEY("messageset_name", TEXT) ","
		KEY("sequence_number", "{\"type\":\"integer\"}") "," KEY("lang", TEXT) "," KEY("message", ID_OR_NULL) ","
		KEY("text_content", TEXT_OR_NULL) "," KEY("binary_content", NULL_OR(REF("BinaryContent"))))},
	{"Upcoming", OBJECT(
		KEY("subscription", UUID) "," KEY("until", TIME) "," KEY("ready", BOOLEAN) "," KEY("reason", TEXT_OR_NULL) ","
		KEY("count", COUNT) "," KEY("more", BOOLEAN) "," KEY("results", ARRAY(REF("UpcomingMessage"))))},
	{"Forecast", OBJECT(
		KEY("from", TIME) "," KEY("until", TIME) "," KEY("messages", COUNT) "," KEY("results", ARRAY(OBJECT(
			KEY("date", "{\"type\":\"string\",\"format\":\"date\"}") "," KEY("messageset", ID) ","
			KEY("messageset_name", TEXT) "," KEY("lang", TEXT) "," KEY("messages", COUNT)))))},
	{0},
};
