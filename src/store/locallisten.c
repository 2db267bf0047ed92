/* A listener of files: see locallisten.h. */
#include "store/locallisten.h"

#include <stdlib.h>

#define ROOT_MS 10000     /* a file system that is mounted over the root shows by no event */
/* Between two walks, when folders come and go: so many times as long as the last one took, within bounds. */
#define SCAN_SHARE 20
#define SCAN_PAUSE_MIN_MS 100
#define SCAN_PAUSE_MAX_MS 10000

static struct locallisten *local_of(struct listener *l)
{
	return (struct locallisten *)l;
}

/* The tree is another one. */
void locallisten_rescan(struct locallisten *l)
{
	msec_t now = clock_now();

	listen_hint_all(&l->folders);
	if (!l->scan_at)
		l->scan_at = now > l->scan_after ? now : l->scan_after;
}

/* Walk the tree. What happened in a directory before it was watched shows by the walk alone: so what differs is told once more. */
static int scan(struct locallisten *l, struct err *e)
{
	msec_t began = clock_now(), pause;
	int rc;

	l->scan_at = 0;
	rc = dirwatch_scan(&l->w, l->kind->walk, l, e);
	pause = SCAN_SHARE * (clock_now() - began);
	l->scan_after = clock_in(pause < SCAN_PAUSE_MIN_MS ? SCAN_PAUSE_MIN_MS : pause > SCAN_PAUSE_MAX_MS ? SCAN_PAUSE_MAX_MS : pause);
	if (rc > 0)
		listen_hint_all(&l->folders);
	return rc < 0 ? -1 : 0;
}

static void on_event(void *arg, const struct dirwatch_item *item, uint32_t mask, const char *name)
{
	struct locallisten *l = arg;

	if (!item || mask & (IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF))
		locallisten_rescan(l);
	else
		l->kind->event(l, item, mask, name);
}

static void on_change(void *arg, const struct dirwatch_item *item)
{
	struct locallisten *l = arg;

	l->kind->changed(l, item);
}

/* Look at what doesn't tell by itself, and try again to have it watched. */
static int look(struct locallisten *l, struct err *e)
{
	l->look_at = clock_in(l->interval);
	dirwatch_look(&l->w, on_change, l);
	return l->w.lacking > 0 || l->w.fd < 0 ? scan(l, e) : 0;
}

static size_t local_fds(struct listener *base, struct wait_item w[LISTEN_FDS_MAX])
{
	struct locallisten *l = local_of(base);

	w[0] = (struct wait_item){ .fd = l->w.fd, .events = WAIT_READ };
	return l->w.fd >= 0;
}

static bool local_pending(struct listener *base)
{
	return local_of(base)->folders.any;
}

static msec_t local_when(struct listener *base)
{
	struct locallisten *l = local_of(base);
	msec_t at = l->root_at;

	if (l->scan_at && l->scan_at < at)
		at = l->scan_at;
	if (!dirwatch_complete(&l->w) && l->look_at < at)
		at = l->look_at;
	return at;
}

static int local_take(struct listener *base, void (*hint)(void *arg, const char *folder), void *arg, struct err *e)
{
	struct locallisten *l = local_of(base);
	msec_t now = clock_now();
	int rc = dirwatch_read(&l->w, on_event, l, e);

	if (rc == 0 && now >= l->root_at) {
		l->root_at = clock_in(ROOT_MS);
		if (dirwatch_root_changed(&l->w))
			locallisten_rescan(l);
	}
	if (rc == 0 && !dirwatch_complete(&l->w) && now >= l->look_at)
		rc = look(l, e);
	if (rc == 0 && l->scan_at && clock_now() >= l->scan_at)
		rc = scan(l, e);
	listen_tell(&l->folders, hint, arg);
	return rc;
}

/* After a suspend others may have written to what they share with us, and disks may have gone. */
static int local_probe(struct listener *base, struct err *e)
{
	struct locallisten *l = local_of(base);

	if (dirwatch_root_changed(&l->w))
		locallisten_rescan(l);
	return dirwatch_complete(&l->w) ? 0 : look(l, e);
}

static int local_stamp(struct listener *base, const char *folder, char out[STORE_STAMP_MAX], struct err *e)
{
	return local_of(base)->kind->stamp(local_of(base), folder, out, e);
}

static int local_folders(struct listener *base, const char *const *folders, size_t n, struct err *e)
{
	struct locallisten *l = local_of(base);

	/* events that are waiting are of the folders as they were */
	if (dirwatch_read(&l->w, on_event, l, e) < 0 || listen_folders_set(&l->folders, folders, n, e) < 0)
		return -1;
	return scan(l, e);
}

static void local_how(struct listener *base, struct strbuf *out)
{
	dirwatch_how(&local_of(base)->w, local_of(base)->interval, out);
}

static void local_free(struct listener *base)
{
	struct locallisten *l = local_of(base);

	dirwatch_release(&l->w);
	listen_folders_release(&l->folders);
	free(l);
}

static const struct listener_ops ops = {
	.name = "local",
	.fds = local_fds,
	.pending = local_pending,
	.when = local_when,
	.take = local_take,
	.probe = local_probe,
	.stamp = local_stamp,
	.folders = local_folders,
	.how = local_how,
	.free = local_free,
};

/* Begin to listen. */
struct listener *locallisten_new(struct store *s, const char *root, const struct locallisten_kind *kind, const struct listen_params *p, struct err *e)
{
	struct locallisten *l = calloc(1, sizeof(*l));

	if (!l) {
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	*l = (struct locallisten){ .l.ops = &ops, .kind = kind, .store = s, .w = DIRWATCH_INIT, .interval = p->interval > 0 ? p->interval : LISTEN_INTERVAL_MS };
	if (dirwatch_init(&l->w, root, e) < 0 || listen_folders_set(&l->folders, p->folders, p->n, e) < 0 || scan(l, e) < 0) {
		local_free(&l->l);
		return NULL;
	}
	l->folders.all = l->folders.any = false; /* what there is now is where it begins */
	l->root_at = clock_in(ROOT_MS);
	l->look_at = clock_in(l->interval);
	return &l->l;
}
