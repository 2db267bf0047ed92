#include "base/fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#ifdef FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK_BYTES (1 << 20) /* of which what is not used costs nothing */
#define FIBERS_MAX 64
#define LATE 250              /* ms between two turns; what is longer is no bite of long work, but all of it at once */

struct fiber {
	int (*run)(void *arg, struct err *e);
	void *arg;
	int rc;
	struct err why;
	bool over, cancelled;
	ucontext_t own, back;
	char *stack;          /* behind a page that nobody may touch */
	size_t size;
	struct wait_item *w;  /* what it waits for */
	size_t n;
	msec_t deadline;
	msec_t seen;          /* when it had its last turn, or could have had one */
	msec_t kept;          /* so long it was kept from them */
	void *fake[2];        /* the sanitizer's, of own and back */
	const void *back_stack;
	size_t back_size;
};

static struct fiber *fibers[FIBERS_MAX]; /* all that there are */
static size_t n_fibers;
static struct fiber *inside;             /* the one that runs */

/* The sanitizer has to hear of the switch, before and after it. */
static void leave(void **fake, const void *stack, size_t size)
{
#ifdef FIBER_ASAN
	__sanitizer_start_switch_fiber(fake, stack, size);
#else
	(void)fake;
	(void)stack;
	(void)size;
#endif
}

static void arrive(void *fake, const void **stack, size_t *size)
{
#ifdef FIBER_ASAN
	__sanitizer_finish_switch_fiber(fake, stack, size);
#else
	(void)fake;
	(void)stack;
	(void)size;
#endif
}

/* On its own stack, from the beginning to the end. */
static void begin(void)
{
	struct fiber *f = inside;

	arrive(NULL, &f->back_stack, &f->back_size);
	f->rc = f->run(f->arg, &f->why);
	f->over = true;
	leave(NULL, f->back_stack, f->back_size); /* for good */
}

/* Until it waits, or is over. */
static void go_on(struct fiber *f)
{
	struct fiber *was = inside; /* one fiber may cancel another */

	inside = f;
	leave(&f->fake[1], f->stack, f->size);
	swapcontext(&f->back, &f->own);
	arrive(f->fake[1], NULL, NULL);
	inside = was;
	f->seen = clock_now();
}

static void release(struct fiber *f)
{
	size_t at = 0;

	while (fibers[at] != f)
		at++;
	n_fibers--;
	memmove(&fibers[at], &fibers[at + 1], (n_fibers - at) * sizeof(fibers[0]));
	munmap(f->stack, f->size);
	free(f);
}

struct fiber *fiber_start(int (*run)(void *arg, struct err *e), void *arg)
{
	struct fiber *f = inside || n_fibers == FIBERS_MAX ? NULL : calloc(1, sizeof(*f));
	long page = sysconf(_SC_PAGESIZE);

	if (!f)
		return NULL;
	*f = (struct fiber){ .run = run, .arg = arg, .why = ERR_INIT, .size = STACK_BYTES };
	f->stack = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (f->stack == MAP_FAILED || mprotect(f->stack, (size_t)page, PROT_NONE) < 0 || getcontext(&f->own) < 0) {
		if (f->stack != MAP_FAILED)
			munmap(f->stack, f->size);
		free(f);
		return NULL;
	}
	f->own.uc_stack.ss_sp = f->stack;
	f->own.uc_stack.ss_size = f->size;
	f->own.uc_link = &f->back;
	makecontext(&f->own, begin, 0);
	fibers[n_fibers++] = f;
	go_on(f);
	return f;
}

int fiber_join(struct fiber *f, struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	while (!f->over) {
		if (wait_beside(NULL, 0, 0, &why) == 0)
			continue;
		f->cancelled = true; /* a signal, or nothing can be waited for any more */
		go_on(f);
	}
	rc = f->rc;
	if (rc < 0 && e)
		*e = f->why;
	release(f);
	return rc;
}

/* What passed while it could not run is not the fault of whom it waits for. */
static void forgive(struct fiber *f)
{
	const msec_t now = clock_now(), late = now - f->seen;

	f->seen = now;
	if (late < LATE)
		return;
	f->kept += late;
	if (f->deadline != 0)
		f->deadline += late;
}

bool fiber_turn(void)
{
	struct err why = ERR_INIT;
	msec_t deadline;
	size_t n;

	if (!fiber_waits(&n, &deadline))
		return false;
	for (size_t i = 0; i < n_fibers; i++)
		forgive(fibers[i]);
	return wait_beside(NULL, 0, clock_now(), &why) == 0 || why.kind == ERR_TIMEOUT;
}

void fiber_cancel(struct fiber *f)
{
	if (!f)
		return;
	f->cancelled = true;
	while (!f->over)
		go_on(f);
	release(f);
}

bool fiber_inside(void)
{
	return inside != NULL;
}

static int count_ready(const struct wait_item *w, size_t n)
{
	int count = 0;

	for (size_t i = 0; i < n; i++)
		count += w[i].ready != 0;
	return count;
}

int fiber_wait(struct wait_item *w, size_t n, msec_t deadline, struct err *e)
{
	struct fiber *f = inside;
	int count = 0;

	for (size_t i = 0; i < n; i++)
		w[i].ready = 0;
	f->w = w;
	f->n = n;
	f->deadline = deadline == 0 ? 0 : deadline + f->kept;
	while (!f->cancelled && count == 0 && (f->deadline == 0 || clock_now() < f->deadline)) {
		leave(&f->fake[0], f->back_stack, f->back_size);
		swapcontext(&f->own, &f->back);
		arrive(f->fake[0], &f->back_stack, &f->back_size);
		count = count_ready(w, n);
	}
	f->w = NULL;
	f->n = 0;
	f->deadline = 0;
	if (f->cancelled)
		return clock_check(e) < 0 ? -1 : err_set(e, ERR_CANCEL, "given up, since the other side has failed");
	return count > 0 ? count : err_set(e, ERR_TIMEOUT, "timed out");
}

bool fiber_waits(size_t *n, msec_t *deadline)
{
	bool any = false;

	*n = 0;
	*deadline = 0;
	for (size_t i = 0; !inside && i < n_fibers; i++) {
		const struct fiber *f = fibers[i];

		if (f->over)
			continue;
		any = true;
		*n += f->n;
		if (f->deadline != 0 && (*deadline == 0 || f->deadline < *deadline))
			*deadline = f->deadline;
	}
	return any;
}

void fiber_items(struct wait_item *w)
{
	for (size_t i = 0; i < n_fibers; i++) {
		const struct fiber *f = fibers[i];

		if (f->over || f->n == 0)
			continue;
		memcpy(w, f->w, f->n * sizeof(*w));
		w += f->n;
	}
}

void fiber_go_on(const struct wait_item *w)
{
	for (size_t i = 0; i < n_fibers; i++) {
		struct fiber *f = fibers[i];

		for (size_t k = 0; !f->over && k < f->n; k++)
			f->w[k].ready = w++->ready;
	}
	for (size_t i = 0; i < n_fibers; i++) { /* one of them may cancel others, which changes places */
		struct fiber *f = fibers[i];

		if (f->over)
			continue;
		if (count_ready(f->w, f->n) > 0 || (f->deadline != 0 && clock_now() >= f->deadline))
			go_on(f);
	}
}
