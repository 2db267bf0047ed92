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
	static const char *const names[] = { "start", "folder", "message", "folder", "progress", "warning", "error", "compared", "drift", "waiting", "changed", "end" };

	return names[t];
}

const char *event_action_name(enum event_action a)
{
	static const char *const names[] = { "pull", "push", "delete", "flags", "move", "skip", "restore", "forget", "create", "remove", "rename" };

	return names[a];
}

const char *event_drift_name(enum event_drift d)
{
	static const char *const names[] = { "missing", "content", "flags", "refused", "folder" };

	return names[d];
}

void event_compared_add(struct event_compared *sum, const struct event_compared *c)
{
	sum->folders += c->folders;
	sum->left += c->left;
	sum->right += c->right;
	sum->same += c->same;
	sum->content += c->content;
	sum->flags += c->flags;
	sum->refused += c->refused;
	sum->extra += c->extra;
	sum->left_out += c->left_out;
	for (int s = 0; s < 2; s++) {
		sum->missing[s] += c->missing[s];
		sum->missing_folders[s] += c->missing_folders[s];
	}
}

uint64_t event_compared_drift(const struct event_compared *c)
{
	return c->missing[0] + c->missing[1] + c->content + c->flags + c->refused + c->missing_folders[0] + c->missing_folders[1];
}

const char *event_at_name(enum event_at at)
{
	static const char *const names[] = { "", "remote", "local" };

	return names[at];
}

const char *event_place(enum event_sides sides, bool right)
{
	static const char *const names[][2] = { [SIDES_HERE] = { "at the server", "here" },
						[SIDES_REMOTE] = { "on the remote side", "on the local side" },
						[SIDES_ONE_WAY] = { "at the source", "at the target" } };

	return names[sides][right];
}
