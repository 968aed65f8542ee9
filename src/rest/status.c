#include "rest/status.h"

const struct status statuses[STATUSES] = {
	{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}, {304, "Not Modified"},
	{400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
	{405, "Method Not Allowed"}, {406, "Not Acceptable"}, {409, "Conflict"}, {412, "Precondition Failed"},
	{413, "Content Too Large"}, {415, "Unsupported Media Type"}, {422, "Unprocessable Content"},
	{429, "Too Many Requests"}, {500, "Internal Server Error"}, {501, "Not Implemented"}, {503, "Service Unavailable"},
	{0, "Status"},
};

int
status_find(int code)
{
	int i = 0;

	while (statuses[i].code != 0 && statuses[i].code != code)
		i++;
	return i;
}
