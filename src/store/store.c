/* What is common to all stores: see store.h. */
#include "store/store.h"

#include "base/clock.h"

/* Close and free a store. */
void store_free(struct store *s)
{
	if (s)
		s->ops->free(s);
}

int store_read_idents(struct store *s, const uint64_t *nums, size_t n, uint64_t most, void (*tell)(void *arg, uint64_t num, const struct ident *id), void *arg, struct err *e)
{
	struct ident_reader *r = ident_reader_new(e);
	int rc;

	if (!r)
		return -1;
	rc = s->ops->want(s, nums, n, e) < 0 ? -1 : 1;
	while (rc == 1) {
		struct stream *body = NULL;
		struct err why = ERR_INIT;
		struct ident id = { 0 };
		size_t i = 0;

		if (clock_check(e) < 0) {
			rc = -1;
			break;
		}
		s->given.size = 0;
		s->given.date = 0;
		rc = s->ops->next(s, &i, &body, &why);
		if (rc == 1 && body && most > 0 && s->given.size > most)
			; /* passed over */
		else if (rc == 1 && body && ident_read(r, body, &id, &why) < 0)
			rc = -1;
		else if (rc == 1 && body)
			tell(arg, nums[i], &id);
		stream_free(body);
		if (rc < 0 && why.span == SPAN_MSG)
			rc = 1;
		else if (rc < 0)
			*e = why;
	}
	ident_reader_free(r);
	return rc;
}

/* A call that the engine had no business to make. */
static int cannot(const struct store *s, const char *what, struct err *e)
{
	return err_set(e, ERR_BUG, "a %s store can't %s", s->ops->name, what);
}

/* Not a source. */
int store_cannot_list_start(struct store *s, struct err *e)
{
	return cannot(s, "list messages", e);
}

/* Not a source. */
int store_cannot_list_next(struct store *s, struct store_msg *m, struct err *e)
{
	(void)m;
	return cannot(s, "list messages", e);
}

/* Not a source. */
int store_cannot_want(struct store *s, const uint64_t *nums, size_t n, struct err *e)
{
	(void)nums;
	(void)n;
	return cannot(s, "give messages", e);
}

/* Not a source. */
int store_cannot_next(struct store *s, size_t *i, struct stream **body, struct err *e)
{
	(void)i;
	(void)body;
	return cannot(s, "give messages", e);
}

/* Not a source. */
int store_cannot_remove(struct store *s, const uint64_t *nums, size_t n,
                        void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e)
{
	(void)nums;
	(void)n;
	(void)done;
	(void)arg;
	return cannot(s, "remove messages", e);
}

/* Not a source. */
int store_cannot_commit(struct store *s, struct err *e)
{
	return cannot(s, "remove messages", e);
}

/* Not a target. */
int store_cannot_stage(struct store *s, struct stream *body, const struct store_meta *m, struct staged *out, struct err *e)
{
	(void)body;
	(void)m;
	(void)out;
	return cannot(s, "take messages", e);
}

/* Not a target. */
void store_cannot_unstage(struct store *s, struct staged *out)
{
	(void)s;
	out->dropped = true;
}

/* Not a target. */
int store_cannot_harden(struct store *s, struct staged *st, size_t n, struct err *e)
{
	(void)st;
	(void)n;
	return cannot(s, "take messages", e);
}

/* Not a target. */
int store_cannot_publish(struct store *s, struct staged *st, size_t n, struct err *e)
{
	(void)st;
	(void)n;
	return cannot(s, "take messages", e);
}

/* Not a target: nothing is staged. */
void store_cannot_abandon(struct store *s)
{
	(void)s;
}

/* Not a target. */
int store_cannot_recover(struct store *s, struct recovery *r, size_t n, struct err *e)
{
	(void)r;
	(void)n;
	return cannot(s, "take messages", e);
}

/* Without folders. */
int store_cannot_folders(struct store *s, int (*cb)(void *arg, const struct folder_info *f, struct err *e), void *arg, struct err *e)
{
	(void)cb;
	(void)arg;
	return cannot(s, "list folders", e);
}

/* Without folders. */
int store_cannot_folder_create(struct store *s, const char *folder, unsigned attrs, struct err *e)
{
	(void)folder;
	(void)attrs;
	return cannot(s, "make folders", e);
}

/* Without folders. */
int store_cannot_folder_remove(struct store *s, const char *folder, uint64_t expected, struct err *e)
{
	(void)folder;
	(void)expected;
	return cannot(s, "remove folders", e);
}

/* No folders. */
int store_cannot_folder_rename(struct store *s, const char *from, const char *to, struct err *e)
{
	(void)from;
	(void)to;
	return cannot(s, "rename folders", e);
}

/* No folders. */
enum store_same store_cannot_same_box(const char *then, const char *now)
{
	(void)then;
	(void)now;
	return STORE_MAYBE;
}

/* Not for two-way sync. */
int store_cannot_look(struct store *s, const struct look *l, size_t n, unsigned how, struct err *e)
{
	(void)l;
	(void)n;
	(void)how;
	return cannot(s, "look at folders", e);
}

/* Not for two-way sync. */
int store_cannot_look_box(struct store *s, size_t *i, struct box_info *out, struct err *e)
{
	(void)i;
	(void)out;
	return cannot(s, "look at folders", e);
}

/* Not for two-way sync. */
int store_cannot_look_next(struct store *s, struct store_msg *m, struct err *e)
{
	(void)m;
	return cannot(s, "look at folders", e);
}

/* Not for two-way sync. */
int store_cannot_find(struct store *s, struct slice key, uint64_t flags, struct store_msg *m, struct err *e)
{
	(void)key;
	(void)flags;
	(void)m;
	return cannot(s, "find messages", e);
}

/* Not for two-way sync. */
int store_cannot_move(struct store *s, const uint64_t *nums, size_t n, const char *folder, struct keyword_view *there,
		      void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why), void *arg, struct err *e)
{
	(void)nums;
	(void)n;
	(void)folder;
	(void)there;
	(void)done;
	(void)arg;
	return cannot(s, "move messages", e);
}

/* Not for two-way sync. */
int store_cannot_set_flags(struct store *s, const struct flag_change *c, size_t n,
			   void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e)
{
	(void)c;
	(void)n;
	(void)done;
	(void)arg;
	return cannot(s, "change flags", e);
}

/* Without a quarantine. */
int store_cannot_restore(struct store *s, const struct quarantine_box *from, int64_t run,
			 void (*done)(void *arg, struct slice key, uint64_t size, const struct err *why), void *arg, struct err *e)
{
	(void)from;
	(void)run;
	(void)done;
	(void)arg;
	return cannot(s, "put messages back", e);
}
