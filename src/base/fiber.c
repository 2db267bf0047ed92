#include "base/fiber.h"

#include <stdint.h>
#include <stdlib.h>
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

static struct fiber *fiber;  /* the one that there is */
static bool inside;          /* and it runs */

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
	struct fiber *f = fiber;

	arrive(NULL, &f->back_stack, &f->back_size);
	f->rc = f->run(f->arg, &f->why);
	f->over = true;
	leave(NULL, f->back_stack, f->back_size); /* for good */
}

/* Until it waits, or is over. */
void fiber_go_on(void)
{
	struct fiber *f = fiber;

	inside = true;
	leave(&f->fake[1], f->stack, f->size);
	swapcontext(&f->back, &f->own);
	arrive(f->fake[1], NULL, NULL);
	inside = false;
	f->seen = clock_now();
}

static void release(struct fiber *f)
{
	munmap(f->stack, f->size);
	free(f);
	fiber = NULL;
}

struct fiber *fiber_start(int (*run)(void *arg, struct err *e), void *arg)
{
	struct fiber *f = fiber ? NULL : calloc(1, sizeof(*f));
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
	fiber = f;
	fiber_go_on();
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
		fiber_go_on();
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
	struct wait_item *w;
	struct err why = ERR_INIT;
	msec_t deadline;

	if (fiber_items(&w, &deadline) == 0 && deadline == 0)
		return false;
	forgive(fiber);
	return wait_beside(NULL, 0, clock_now(), &why) == 0 || why.kind == ERR_TIMEOUT;
}

void fiber_cancel(struct fiber *f)
{
	if (!f)
		return;
	f->cancelled = true;
	while (!f->over)
		fiber_go_on();
	release(f);
}

bool fiber_inside(void)
{
	return inside;
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
	struct fiber *f = fiber;
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

size_t fiber_items(struct wait_item **w, msec_t *deadline)
{
	bool there = fiber && !inside && !fiber->over;

	*w = there ? fiber->w : NULL;
	*deadline = there ? fiber->deadline : 0;
	return there ? fiber->n : 0;
}
