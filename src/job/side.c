#include "job/side.h"

int job_side_open(const struct job_params *p, const struct config_end *end, struct job_side *s, struct err *e)
{
	const struct imapstore_params *knowing;

	s->end = *end;
	if (end->is_account)
		config_dial(&s->end)->rate = p->job->rate;
	s->end.imap.connections = p->links[end == p->job->right];
	s->end.imap.measure = p->measure;
	knowing = remember_load(&s->remember, p->state_dir, &s->end);
	s->store = knowing ? imapstore_new(knowing, e) : job_store(&s->end, e);
	return s->store ? 0 : -1;
}

void job_side_close(const struct job_params *p, struct job_side *s)
{
	store_free(s->store);
	remember_end(&s->remember, !p->dry_run);
}
