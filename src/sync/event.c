#include "sync/event.h"

#include "base/clock.h"

void event_put(const struct event_sink *sink, const struct event *ev)
{
	struct event copy = *ev;

	if (!sink || !sink->put)
		return;
	if (copy.time == 0)
		copy.time = clock_wall();
	sink->put(sink->arg, &copy);
}

const char *event_type_name(enum event_type t)
{
	static const char *const names[] = { "start", "folder", "message", "folder", "progress", "warning", "error", "end" };

	return names[t];
}

const char *event_action_name(enum event_action a)
{
	static const char *const names[] = { "pull", "push", "delete", "flags", "move", "skip", "restore", "forget", "create", "remove", "rename" };

	return names[a];
}

const char *event_at_name(enum event_at at)
{
	static const char *const names[] = { "", "remote", "local" };

	return names[at];
}
