/* A set of jobs, each once: see sched.h. */
#include "job/sched.h"

#include <stdlib.h>
#include <string.h>

#include "job/seats.h"

/* Codes stand where their jobs do: a job's tag is its code's place. */
static void note_code(void *arg, void *tag, int exit_code, const struct err *why)
{
	int *code = tag;

	(void)arg;
	(void)why;
	*code = exit_code;
}

/* Turns until all are over. *sig: the first signal that came; the workers had it, too, and are waited for. */
static int run_all(struct sched *s, int *sig, struct err *e)
{
	while (sched_busy(s) > 0) {
		struct err why = ERR_INIT;

		if (sched_turn(s, NULL, 0, 0, &why) >= 0)
			continue;
		if (why.kind != ERR_CANCEL || *sig == 0)
			if (e)
				*e = why;
		if (why.kind != ERR_CANCEL)
			return -1;
		if (*sig == 0)
			*sig = clock_cancel_signal();
		sched_stop(s, clock_cancel_signal());
		clock_cancel_clear();
	}
	return 0;
}

int sched_run(const struct sched_params *p, const struct job_params *jobs, size_t n, const struct wire_sink *sinks, int *codes, struct err *e)
{
	struct sched_params own = *p;
	struct job_params *shared = malloc((n + 1) * sizeof(*shared));
	struct sched *s = NULL;
	int rc = shared ? 0 : err_set(e, ERR_LOCAL, "out of memory"), sig = 0;

	own.done = note_code;
	if (rc == 0 && n > 0)
		memcpy(shared, jobs, n * sizeof(*shared));
	if (rc == 0)
		rc = seats_share(shared, n, e);
	if (rc == 0)
		s = sched_new(&own, sinks, e);
	if (!s) {
		free(shared);
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		codes[i] = err_exit_code(ERR_BUG);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = sched_submit(s, &shared[i], &codes[i], e);
	if (rc == 0)
		rc = run_all(s, &sig, e);
	sched_free(s);
	free(shared);
	if (sig == 0)
		return rc;
	clock_cancel_now(sig); /* the caller is to know it, too */
	return -1;
}

int sched_exit_code(const int *codes, size_t n)
{
	int code = 0;
	bool differ = false;

	for (size_t i = 0; i < n; i++) {
		if (codes[i] > 128)
			return codes[i];
		if (codes[i] == 0)
			continue;
		differ = differ || (code != 0 && code != codes[i]);
		code = codes[i];
	}
	return differ ? 1 : code;
}
