#include "api/routes.h"

#include "api/resources.h"

#define EDITED(model) "API endpoint that allows " model " models to be viewed or edited."

const struct route api_routes[] = {
	{.pattern = "/api/v1/", .name = "Api Root", .description = "The default basic root view for DefaultRouter",
	    .methods = {[REQ_GET] = {root_list, 200, "The lists, by name", NULL, "Root", NULL}}},

	{.pattern = "/api/v1/schedule/", .name = "Schedule List", .description = EDITED("Schedule"),
	    .resource = &schedule_resource},
	{.pattern = "/api/v1/schedule/{id}/", .name = "Schedule Instance", .description = EDITED("Schedule"),
	    .resource = &schedule_resource},
	{.pattern = "/api/v1/schedule/{id}/send/", .name = "Send",
	    .description = "Sends all the subscriptions for the specified schedule",
	    .methods = {[REQ_POST] = {schedule_send, 202, "Starts a run: the next message to each ready subscription", NULL,
	                    "Empty", NULL}}},

	{.pattern = "/api/v1/messageset/", .name = "Message Set List", .description = EDITED("MessageSet"),
	    .resource = &messageset_resource},
	{.pattern = "/api/v1/messageset/{id}/", .name = "Message Set Instance", .description = EDITED("MessageSet"),
	    .resource = &messageset_resource},
	{.pattern = "/api/v1/messageset/{id}/messages/", .name = "Messageset Messages Content",
	    .description = EDITED("MessageSet"),
	    .methods = {[REQ_GET] = {messageset_messages, 200, "A message set with its messages in order", NULL,
	                    "MessageSetMessages", NULL}}},
	{.pattern = "/api/v1/messageset_languages/", .name = "Messageset Language",
	    .description = "GET - returns languages per message set",
	    .methods = {[REQ_GET] = {messageset_languages, 200, "The languages of each message set", NULL, "Languages", NULL}}},

	{.pattern = "/api/v1/message/", .name = "Message List", .description = EDITED("Message"), .resource = &message_resource},
	{.pattern = "/api/v1/message/{id}/", .name = "Message Instance", .description = EDITED("Message"),
	    .resource = &message_resource},
	{.pattern = "/api/v1/message/{id}/content/", .name = "Messages Content",
	    .description = "A simple ViewSet for viewing more detailed message content.",
	    .methods = {[REQ_GET] = {message_content, 200, "A message with its binary content", NULL, "MessageContent", NULL}}},

	{.pattern = "/api/v1/binarycontent/", .name = "Binary Content List", .description = EDITED("BinaryContent"),
	    .resource = &binarycontent_resource},
	{.pattern = "/api/v1/binarycontent/{id}/", .name = "Binary Content Instance", .description = EDITED("BinaryContent"),
	    .resource = &binarycontent_resource},

	{.pattern = "/api/v1/subscriptions/", .name = "Subscription List", .description = EDITED("Subscription"),
	    .resource = &subscription_resource},
	{.pattern = "/api/v1/subscriptions/{id}/", .name = "Subscription Instance", .description = EDITED("Subscription"),
	    .resource = &subscription_resource},

	{.pattern = NULL},
};
