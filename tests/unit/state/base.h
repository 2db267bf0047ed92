/* What the tests of the base share: one in a scratch directory, new for each. */
#ifndef TEST_STATE_BASE_H
#define TEST_STATE_BASE_H

#include "../../lib/unit.h"

#include "state/db.h"

static char *dir;
static struct db *db;
static struct err e;

static inline void base_open(void)
{
	if (db_open(scratch_path(dir, "job.db"), DB_RUN, "s", &db, &e) < 0)
		fail_msg("%s", e.text);
}

/* For cmocka. */
static inline int base_setup(void **state)
{
	(void)state;
	dir = scratch_make();
	e = (struct err)ERR_INIT;
	base_open();
	return 0;
}

/* The same, in a transaction. */
static inline int base_setup_begun(void **state)
{
	base_setup(state);
	assert_int_equal(db_begin(db, &e), 0);
	return 0;
}

static inline int base_teardown(void **state)
{
	(void)state;
	db_close(db);
	scratch_remove(dir);
	return 0;
}

#endif
