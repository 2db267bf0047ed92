/* Pairs: what is known of a message, and how it changes. */
#include "base.h"

#include <unistd.h>

#include "base/strbuf.h"
#include "state/pairs.h"
#include "state/runs.h"

/* Add one with a digest of all `d`s. */
static int64_t add(int64_t folder, const char *left, int d, bool pending)
{
	struct pair p = { .folder = folder, .left = slice_str(left), .right = SLICE_LIT("right"), .hint = SLICE_LIT("hint"), .pending = pending, .raw = d % 2,
			  .size = UINT64_C(5000000000) + (unsigned)d, .made = 1000 + d };

	memset(p.digest, d, sizeof(p.digest));
	if (pairs_add(db, &p, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(p.id > 0);
	return p.id;
}

static int by_left(const char *left, struct pair *p)
{
	int rc = pairs_by_left(db, 1, slice_str(left), p, &e);

	assert_true(rc >= 0);
	return rc;
}

/* The id of the first pair of that content after one; 0 none. */
static int64_t by_digest(int d, bool gone, int64_t after)
{
	unsigned char digest[32];
	struct pair p;
	int rc;

	memset(digest, d, sizeof(digest));
	rc = pairs_by_digest(db, 1, digest, gone, after, &p, &e);
	assert_true(rc >= 0);
	return rc == 1 ? p.id : 0;
}

static int collect(void *arg, const struct pair *p, struct err *err)
{
	char *ids = arg;

	(void)err;
	snprintf(ids + strlen(ids), 100 - strlen(ids), "%lld ", (long long)p->id);
	return 0;
}

static const char *pending(int64_t folder)
{
	static char ids[100];

	ids[0] = '\0';
	assert_int_equal(pairs_pending(db, folder, false, collect, ids, &e), 0);
	return ids;
}

static const char *present(int64_t folder)
{
	static char ids[100];

	ids[0] = '\0';
	assert_int_equal(pairs_present(db, folder, collect, ids, &e), 0);
	return ids;
}

static int64_t oldest(int64_t folder)
{
	int64_t made = -1;

	assert_int_equal(pairs_oldest(db, folder, &made, &e), 0);
	return made;
}

static void what_is_added_is_found(void **state)
{
	struct pair p;
	int64_t a = add(1, "key a", 7, true);

	(void)state;
	assert_int_equal(by_left("key a", &p), 1);
	assert_int_equal(p.id, a);
	assert_int_equal(p.folder, 1);
	assert_true(slice_eqs(p.left, "key a"));
	assert_true(slice_eqs(p.right, "right"));
	assert_true(slice_eqs(p.hint, "hint"));
	assert_true(p.pending);
	assert_true(p.raw);
	assert_int_equal(p.size, UINT64_C(5000000007));
	assert_int_equal(p.made, 1007);
	assert_int_equal(p.gone, 0);
	for (size_t i = 0; i < sizeof(p.digest); i++)
		assert_int_equal(p.digest[i], 7);
	assert_int_equal(by_left("key", &p), 0);
	assert_int_equal(by_left("KEY A", &p), 0);
	assert_int_equal(by_left("", &p), 0);
	assert_int_equal(pairs_by_left(db, 2, SLICE_LIT("key a"), &p, &e), 0);
}

/* Any bytes can be a key, quotes and percent signs and NULs with them. */
static void keys_of_all_kinds(void **state)
{
	static const struct slice keys[] = { SLICE_LIT("'; DROP TABLE pair; --"), SLICE_LIT("%00"), SLICE_LIT("a\0b"), SLICE_LIT("a"), SLICE_LIT("\xff\xfe"),
					     SLICE_LIT("1"), SLICE_LIT("01"), SLICE_LIT("1.0") };
	int64_t ids[COUNT(keys)];

	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++) {
		struct pair p = { .folder = 1, .left = keys[i], .right = SLICE_LIT("r") };

		assert_int_equal(pairs_add(db, &p, &e), 0);
		ids[i] = p.id;
	}
	for (size_t i = 0; i < COUNT(keys); i++) {
		struct pair p;

		assert_int_equal(pairs_by_left(db, 1, keys[i], &p, &e), 1);
		assert_int_equal(p.id, ids[i]);
		assert_true(slice_eq(p.left, keys[i]));
	}
}

static void pending_until_settled(void **state)
{
	int64_t a = add(1, "a", 1, true), b = add(1, "b", 2, true), c = add(1, "c", 3, false), other = add(2, "a", 1, true);
	struct pairs_summary sum;
	struct pair p;
	uint64_t n;
	char want[60];

	(void)state;
	snprintf(want, sizeof(want), "%lld %lld ", (long long)a, (long long)b);
	assert_string_equal(pending(1), want);
	assert_int_equal(pairs_summary(db, 1, &sum, &e), 0);
	assert_true(sum.pending);
	assert_int_equal(oldest(1), 1003);
	assert_int_equal(sum.max_id, other);
	assert_int_equal(pairs_present_count(db, 1, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(pairs_settle(db, a, &e), 0);
	assert_int_equal(by_left("a", &p), 1);
	assert_false(p.pending);
	assert_int_equal(p.hint.n, 0);
	/* its removal is asked for, refused, asked for again, and happens; or it is found to be there under another key */
	assert_false(p.asked);
	assert_int_equal(pairs_ask(db, a, a, true, &e), 0);
	assert_int_equal(by_left("a", &p), 1);
	assert_true(p.asked);
	assert_false(p.pending);
	assert_int_equal(pairs_ask(db, a, a, false, &e), 0);
	assert_int_equal(by_left("a", &p), 1);
	assert_false(p.asked);
	for (int gone = 0; gone < 2; gone++) {
		assert_int_equal(pairs_ask(db, a, a, true, &e), 0);
		assert_int_equal(gone ? pairs_gone(db, a, a, 5000, &e) : pairs_rekey(db, a, SLICE_LIT("a"), &e), 0);
		assert_int_equal(by_left("a", &p), 1);
		assert_false(p.asked);
	}
	assert_int_equal(pairs_rekey(db, a, SLICE_LIT("a"), &e), 0);
	assert_int_equal(by_left("b", &p), 1);
	assert_true(p.pending);
	assert_false(p.asked);
	/* of a range those that are settled: the hint of one that is pending is what its recovery needs */
	assert_int_equal(pairs_ask(db, a, b, true, &e), 0);
	assert_int_equal(by_left("a", &p), 1);
	assert_true(p.asked);
	assert_int_equal(by_left("b", &p), 1);
	assert_true(p.pending && p.hint.n > 0 && !slice_eqs(p.hint, "asked"));
	assert_int_equal(pairs_ask(db, a, b, false, &e), 0);
	assert_int_equal(pairs_settle(db, b, &e), 0);
	assert_string_equal(pending(1), "");
	snprintf(want, sizeof(want), "%lld %lld %lld ", (long long)a, (long long)b, (long long)c);
	assert_string_equal(present(1), want);
	assert_int_equal(pairs_summary(db, 1, &sum, &e), 0);
	assert_false(sum.pending);
	assert_int_equal(oldest(1), 1001);
	/* a folder without any */
	assert_int_equal(pairs_summary(db, 3, &sum, &e), 0);
	assert_false(sum.pending);
	assert_int_equal(oldest(3), 0);
}

static void by_content(void **state)
{
	int64_t a = add(1, "a", 9, false), b = add(1, "", 9, false), c = add(1, "", 9, true), d = add(1, "d", 9, false);

	(void)state;
	add(2, "a", 9, false);
	add(1, "x", 8, false);
	assert_int_equal(by_digest(9, false, 0), a);
	assert_int_equal(by_digest(9, false, a), b);
	assert_int_equal(by_digest(9, false, b), c);
	assert_int_equal(by_digest(9, false, c), d);
	assert_int_equal(by_digest(9, false, d), 0);
	assert_int_equal(by_digest(10, false, 0), 0);
	/* those that are gone are met on their own */
	assert_int_equal(by_digest(9, true, 0), 0);
	assert_int_equal(pairs_gone(db, a, a, 5000, &e), 0);
	assert_int_equal(pairs_gone(db, d, d, 5001, &e), 0);
	assert_int_equal(by_digest(9, false, 0), b);
	assert_int_equal(by_digest(9, false, c), 0);
	assert_int_equal(by_digest(9, true, 0), a);
	assert_int_equal(by_digest(9, true, a), d);
	assert_int_equal(by_digest(9, true, d), 0);
}

static void gone_and_back(void **state)
{
	int64_t a = add(1, "a", 1, false);
	struct pairs_summary sum;
	struct pair p;

	(void)state;
	assert_int_equal(pairs_gone(db, a, a, 5000, &e), 0);
	assert_int_equal(by_left("a", &p), 1);
	assert_int_equal(p.gone, 5000);
	assert_string_equal(present(1), "");
	assert_int_equal(pairs_summary(db, 1, &sum, &e), 0);
	assert_int_equal(oldest(1), 0);
	assert_int_equal(pairs_gone(db, a, a, 0, &e), 0);
	assert_int_equal(by_left("a", &p), 1);
	assert_int_equal(p.gone, 0);
	assert_string_not_equal(present(1), "");
	/* another name brings it back, too */
	assert_int_equal(pairs_gone(db, a, a, 5000, &e), 0);
	assert_int_equal(pairs_rekey(db, a, SLICE_LIT("z"), &e), 0);
	assert_int_equal(by_left("a", &p), 0);
	assert_int_equal(by_left("z", &p), 1);
	assert_int_equal(p.gone, 0);
}

/* An empty name is no name, however it is written; many pairs may have none. */
static void without_name(void **state)
{
	struct slice nowhere = { NULL, 0 };
	struct pair p;

	(void)state;
	for (int i = 0; i < 3; i++) {
		char left[10];
		int64_t id;

		snprintf(left, sizeof(left), "k%d", i);
		id = add(1, left, 20 + i, false);
		assert_int_equal(pairs_gone(db, id, id, i, &e), 0);
		if (i == 0)
			assert_int_equal(pairs_rekey(db, id, SLICE_LIT(""), &e), 0);
		else if (i == 1)
			assert_int_equal(pairs_rekey(db, id, nowhere, &e), 0);
		else
			assert_int_equal(pairs_unkey(db, id, &e), 0);
		assert_int_equal(by_left(left, &p), 0);
		assert_int_equal(by_left("0", &p), 0);
	}
	add(1, "", 1, false);
	add(1, "", 1, false);
	/* losing the name is not coming back */
	assert_int_equal(by_digest(21, false, 0) > 0, 1);
	assert_int_equal(by_digest(22, false, 0), 0);
}

static void one_pair_for_a_key(void **state)
{
	struct pair p = { .folder = 1, .left = SLICE_LIT("a"), .right = SLICE_LIT("r") };
	int64_t a = add(1, "a", 1, false), b = add(1, "b", 2, false);

	(void)state;
	add(2, "a", 1, false);
	assert_int_equal(pairs_add(db, &p, &e), 0); /* and is told of when it is looked for, */
	assert_int_equal(pairs_by_id(db, p.id, &p, &e), -1);
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_null(strstr(e.text, "damaged"));
	assert_int_equal(pairs_by_id(db, p.id, &p, &e), 0);
	assert_int_equal(pairs_rekey(db, b, SLICE_LIT("a"), &e), -1);
	/* and what was there stays */
	assert_int_equal(by_left("a", &p), 1);
	assert_int_equal(p.id, a);
	assert_int_equal(by_left("b", &p), 1);
}

/* By the commit, at the latest: then nothing of the transaction stays. */
static void no_commit_without_all(void **state)
{
	struct pair p = { .folder = 1, .left = SLICE_LIT("20"), .right = SLICE_LIT("r") };
	char left[8];

	(void)state;
	for (int more = 0; more < 40; more++) {
		for (int i = 0; i < 40; i++) {
			snprintf(left, sizeof(left), "%d", i);
			add(1, left, 1, false);
			if (i == more)
				assert_int_equal(pairs_by_left(db, 1, SLICE_LIT("0"), &p, &e), 1); /* the rest waits in other company */
		}
		p = (struct pair){ .folder = 1, .left = SLICE_LIT("20"), .right = SLICE_LIT("r") };
		if (pairs_add(db, &p, &e) == 0)
			assert_int_equal(db_commit(db, &e), -1);
		else
			db_rollback(db);
		assert_false(db_in_transaction(db));
		assert_string_equal(present(1), "");
		assert_int_equal(db_begin(db, &e), 0);
	}
}

/* However many wait for each other, each is as it was added, in that order. */
static void many_at_once(void **state)
{
	enum { MOST = 70 };

	(void)state;
	for (int n = 1; n <= MOST; n++) {
		char left[20], right[20], hint[20];
		int64_t first = 0;

		for (int i = 0; i < n; i++) {
			struct pair p = { .folder = n, .left = slice_of(left, (size_t)snprintf(left, sizeof(left), "l%d", i)),
					  .right = slice_of(right, (size_t)snprintf(right, sizeof(right), "r%d", i)), .hint = slice_of(hint, (size_t)snprintf(hint, sizeof(hint), "h%d", i)),
					  .pending = i % 3 == 0, .raw = i % 2, .size = (uint64_t)i, .digest = { (unsigned char)i, 1 }, .made = 100 + i, .gone = i % 5, .back = i % 7 == 0,
					  .two_way = i % 4 != 0, .flags = 1u << i % 20,
					  .told = { .size = 1000 + (uint64_t)i, .date = -i, .has_mid = i % 2, .has_object = i % 3, .mid = { (unsigned char)i }, .object = { (unsigned char)i, 2 } } };

			assert_int_equal(pairs_add(db, &p, &e), 0);
			first = i == 0 ? p.id : first;
			assert_int_equal(p.id, first + i);
		}
		if (n % 2) {
			assert_int_equal(db_commit(db, &e), 0);
			db_close(db);
			base_open();
			assert_int_equal(db_begin(db, &e), 0);
		}
		for (int i = 0; i < n; i++) {
			struct pair p;

			assert_int_equal(pairs_by_id(db, first + i, &p, &e), 1);
			assert_int_equal(p.folder, n);
			snprintf(left, sizeof(left), "l%d", i);
			snprintf(right, sizeof(right), "r%d", i);
			snprintf(hint, sizeof(hint), "h%d", i);
			assert_true(slice_eqs(p.left, left) && slice_eqs(p.right, right) && slice_eqs(p.hint, i % 3 ? "" : hint));
			assert_true(p.pending == (i % 3 == 0) && p.raw == i % 2 && p.back == (i % 7 == 0) && p.two_way == (i % 4 != 0));
			assert_int_equal(p.size, i);
			assert_true(p.digest[0] == i && p.digest[1] == 1 && p.digest[31] == 0);
			assert_true(p.made == 100 + i && p.gone == i % 5 && p.flags == (p.two_way ? 1u << i % 20 : 0));
			assert_true(p.told.size == 1000 + (uint64_t)i && p.told.date == -i && p.told.has_mid == i % 2 && p.told.has_object == (i % 3 != 0));
			assert_true(p.told.mid[0] == (i % 2 ? i : 0) && p.told.object[0] == (i % 3 ? i : 0) && p.told.object[1] == (i % 3 ? 2 : 0));
		}
	}
}

/* A two-way pair. */
static int64_t add_both(int64_t folder, const char *left, const char *right, uint32_t flags)
{
	struct pair p = { .folder = folder, .left = slice_str(left), .right = slice_str(right), .two_way = true, .flags = flags, .size = 7, .made = 9,
			  .told = { .size = 8, .date = 10, .has_mid = true, .mid = "mid-mid" } };

	memset(p.digest, 5, sizeof(p.digest));
	if (pairs_add(db, &p, &e) < 0)
		fail_msg("%s", e.text);
	return p.id;
}

static bool is_pair(int64_t id)
{
	struct pair p;
	int rc = pairs_by_id(db, id, &p, &e);

	assert_true(rc >= 0);
	return rc == 1;
}

/* A pair goes to another folder with all that is known of it. What the base had there by one of its keys, or by each, is of messages that are there no more. */
static void moved(void **state)
{
	static const struct { const char *left, *right; } to[] = { { "new", "new" }, { "9", "new" }, { "new", "r9" }, { "9", "r9" }, { "9", "r8" }, { "1", "r1" } };

	(void)state;
	for (size_t i = 0; i < COUNT(to); i++) {
		int64_t stays = add_both(1, "2", "r2", 0), id = add_both(1, "1", "r1", 3), eight = add_both(2, "8", "r8", 0), nine = add_both(2, "9", "r9", 0);
		int64_t other = add_both(2, "2", "r2", 0), third = add_both(3, "9", "r9", 0);
		struct pair p;

		assert_int_equal(pairs_move(db, id, 2, slice_str(to[i].left), slice_str(to[i].right), i % 2 ? -1 : (int64_t)i, &e), 0);
		assert_int_equal(pairs_by_id(db, id, &p, &e), 1);
		assert_int_equal(p.told.date, i % 2 ? 10 : (int64_t)i);
		assert_true(p.told.size == 8 && p.told.has_mid && !p.told.has_object && memcmp(p.told.mid, "mid-mid", 8) == 0);
		assert_int_equal(p.folder, 2);
		assert_true(slice_eqs(p.left, to[i].left) && slice_eqs(p.right, to[i].right));
		assert_true(p.two_way && !p.pending && !p.back && p.flags == 3 && p.size == 7 && p.made == 9 && p.gone == 0 && p.digest[31] == 5);
		assert_int_equal(pairs_by_left(db, 1, SLICE_LIT("1"), &p, &e), 0);
		assert_int_equal(pairs_by_right(db, 1, SLICE_LIT("r1"), &p, &e), 0);
		assert_int_equal(pairs_by_left(db, 2, slice_str(to[i].left), &p, &e), 1);
		assert_int_equal(p.id, id);
		assert_int_equal(pairs_by_right(db, 2, slice_str(to[i].right), &p, &e), 1);
		assert_int_equal(p.id, id);
		assert_int_equal(is_pair(nine), to[i].left[0] != '9' && strcmp(to[i].right, "r9") != 0);
		assert_int_equal(is_pair(eight), strcmp(to[i].right, "r8") != 0);
		assert_true(is_pair(stays) && is_pair(other) && is_pair(third));
		for (int64_t all = stays; all <= third; all++)
			assert_int_equal(pairs_drop(db, all, &e), 0);
	}
	/* what is not there is not moved */
	assert_int_equal(pairs_move(db, 12345, 2, SLICE_LIT("1"), SLICE_LIT("r1"), 0, &e), 0);
	assert_false(is_pair(12345));
}

/* What the left says of a message; what it does not say leaves what was known. */
static void told(void **state)
{
	int64_t id = add_both(1, "1", "r1", 3), other = add_both(1, "2", "r2", 3);
	struct pair p;

	(void)state;
	assert_int_equal(pairs_tell(db, id, &(struct told){ .size = 100 }, &e), 0);
	assert_int_equal(pairs_by_id(db, id, &p, &e), 1);
	assert_true(p.told.size == 100 && p.told.date == 10 && p.told.has_mid && !p.told.has_object);
	assert_int_equal(pairs_tell(db, id, &(struct told){ .date = 11, .has_object = true, .object = "object1" }, &e), 0);
	assert_int_equal(pairs_by_id(db, id, &p, &e), 1);
	assert_true(p.told.size == 100 && p.told.date == 11 && p.told.has_mid && p.told.has_object && memcmp(p.told.object, "object1", 8) == 0);
	assert_int_equal(pairs_tell(db, id, &(struct told){ .has_mid = true, .mid = "another" }, &e), 0);
	assert_int_equal(pairs_by_id(db, id, &p, &e), 1);
	assert_true(memcmp(p.told.mid, "another", 8) == 0 && p.told.has_object && p.told.date == 11 && p.flags == 3);
	assert_int_equal(pairs_by_id(db, other, &p, &e), 1);
	assert_true(p.told.size == 8 && p.told.date == 10 && memcmp(p.told.mid, "mid-mid", 8) == 0);
}

/* Found in all folders by the name that the left gives it in each; settled ones that it holds. */
static void by_object(void **state)
{
	static const unsigned char one[8] = "object1", two[8] = "object2";
	int64_t ids[5];
	struct pair p;

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct pair x = { .folder = i, .left = SLICE_LIT("7"), .right = SLICE_LIT("r"), .two_way = true, .pending = i == 1, .gone = i == 3, .told = { .has_object = i != 4 } };

		memcpy(x.told.object, one, 8);
		assert_int_equal(pairs_add(db, &x, &e), 0);
		ids[i] = x.id;
	}
	assert_int_equal(pairs_by_object(db, one, 0, &p, &e), 1);
	assert_int_equal(p.id, ids[0]);
	assert_int_equal(p.folder, 0);
	assert_int_equal(pairs_by_object(db, one, ids[0], &p, &e), 1);
	assert_int_equal(p.id, ids[2]);
	assert_int_equal(pairs_by_object(db, one, ids[2], &p, &e), 0);
	assert_int_equal(pairs_by_object(db, two, 0, &p, &e), 0);
}

static int collect_key(void *arg, const struct pair_key *k, struct err *err)
{
	struct strbuf *all = arg;

	return strbuf_printf(all, "%lld %.*s %llu%s;", (long long)k->id, (int)k->key.n, k->key.p, (unsigned long long)k->flags, k->dated ? " dated" : "") < 0 ?
		       err_set(err, ERR_LOCAL, "out of memory") : 0;
}

static void expect_keys(enum pair_side side, const char *want)
{
	struct strbuf all = STRBUF_INIT(1000);

	assert_int_equal(pairs_by_key(db, 1, side, collect_key, &all, &e), 0);
	assert_string_equal(strbuf_str(&all), want);
	strbuf_release(&all);
}

/* What looks are compared with: in the order of the bytes of the keys, none that is pending, has no key there, or is of a fetch. */
static void by_key(void **state)
{
	int64_t a = add_both(1, "9", "b", 3), b = add_both(1, "10", "c", 0), c = add_both(1, "9x", "a", 1);
	struct pair p = { .folder = 1, .left = SLICE_LIT("1"), .right = SLICE_LIT("d"), .hint = SLICE_LIT("h"), .pending = true, .two_way = true };
	char want[200];

	(void)state;
	add_both(2, "5", "e", 0);
	add(1, "of a fetch", 1, false);
	assert_int_equal(pairs_add(db, &p, &e), 0);
	snprintf(want, sizeof(want), "%lld 10 0 dated;%lld 9 3 dated;%lld 9x 1 dated;", (long long)b, (long long)a, (long long)c);
	expect_keys(PAIR_LEFT, want);
	snprintf(want, sizeof(want), "%lld a 1;%lld b 3;%lld c 0;", (long long)c, (long long)a, (long long)b);
	expect_keys(PAIR_RIGHT, want);
	assert_int_equal(pairs_unkey(db, a, &e), 0);
	p.left = SLICE_LIT("7");
	p.right = SLICE_LIT("f");
	p.pending = false;
	assert_int_equal(pairs_add(db, &p, &e), 0);
	snprintf(want, sizeof(want), "%lld 10 0 dated;%lld 7 0;%lld 9x 1 dated;", (long long)b, (long long)p.id, (long long)c);
	expect_keys(PAIR_LEFT, want);
}

/* Few folders are read in another way than many. */
static void among_many_folders(void **state)
{
	struct folder_row row;
	int64_t a, b;
	char want[60], name[8];

	(void)state;
	add(1, "x", 1, true);
	a = add(1, "z", 3, false);
	b = add(1, "y", 2, false);
	add(2, "z", 4, false);
	snprintf(want, sizeof(want), "%lld %lld ", (long long)a, (long long)b);
	for (int i = 0; i < 12; i++) {
		assert_string_equal(present(1), want);
		assert_int_equal(oldest(1), 1002);
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(folders_get(db, name, name, &row, &e), 0);
	}
}

static void purge(void **state)
{
	int64_t ids[4];
	struct pair p;

	(void)state;
	for (int i = 0; i < 4; i++) {
		char left[10];

		snprintf(left, sizeof(left), "k%d", i);
		ids[i] = add(1, left, i, false);
		assert_int_equal(pairs_gone(db, ids[i], ids[i], i * 100, &e), 0);
	}
	assert_int_equal(pairs_purge_gone(db, 200, &e), 1);
	assert_int_equal(by_left("k0", &p), 1); /* 0: not gone */
	assert_int_equal(by_left("k1", &p), 0);
	assert_int_equal(by_left("k2", &p), 1);
	assert_int_equal(pairs_purge_gone(db, 200, &e), 0);
	assert_int_equal(pairs_purge_gone(db, 10000, &e), 2);
	assert_int_equal(pairs_drop(db, ids[0], &e), 0);
	assert_int_equal(by_left("k0", &p), 0);
}

static int stop_at_second(void *arg, const struct pair *p, struct err *err)
{
	int *n = arg;

	(void)p;
	return ++*n == 2 ? err_set(err, ERR_BUG, "enough") : 0;
}

static void a_walk_can_be_stopped(void **state)
{
	int n = 0;

	(void)state;
	for (int i = 0; i < 4; i++)
		add(1, "", i, true);
	assert_int_equal(pairs_pending(db, 1, false, stop_at_second, &n, &e), -1);
	assert_int_equal(n, 2);
	assert_string_equal(e.text, "enough");
	/* and then begun anew */
	n = -10;
	assert_int_equal(pairs_pending(db, 1, false, stop_at_second, &n, &e), 0);
	assert_int_equal(n, -6);
	assert_int_equal(db_commit(db, &e), 0);
}

/* Who still has the id of a pair that was dropped must not get another by it. */
static void no_id_twice(void **state)
{
	int64_t a, b, c;
	struct pair p;

	(void)state;
	a = add(1, "a", 1, false);
	assert_int_equal(pairs_drop(db, a, &e), 0);
	b = add(1, "b", 2, false);
	assert_true(b > a);
	assert_int_equal(pairs_move(db, add_both(2, "9", "r9", 0), 3, SLICE_LIT("9"), SLICE_LIT("r9"), -1, &e), 0);
	c = add_both(3, "8", "r8", 0);
	assert_int_equal(pairs_move(db, b, 3, SLICE_LIT("8"), SLICE_LIT("r8"), -1, &e), 0);
	assert_int_equal(pairs_by_id(db, c, &p, &e), 0);
	assert_true(add(1, "d", 4, false) > c);
	/* nor who opens it and drops first */
	a = add(1, "f", 5, false);
	assert_int_equal(db_commit(db, &e), 0);
	db_close(db);
	assert_int_equal(db_open(scratch_path(dir, "job.db"), DB_RUN, "s", &db, &e), 0);
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(pairs_drop(db, a, &e), 0);
	assert_true(add(1, "g", 6, false) > a);
	a = add(5, "h", 7, false);
	assert_int_equal(db_commit(db, &e), 0);
	db_close(db);
	base_open();
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(folders_drop(db, 5, &e), 0);
	assert_true(add(1, "i", 8, false) > a);
}

/* What a failed transaction did is undone, with the ids that it gave. */
static void rolled_back(void **state)
{
	struct pairs_summary sum;
	int64_t a = add(1, "a", 1, false);

	(void)state;
	assert_int_equal(db_commit(db, &e), 0);
	assert_int_equal(db_begin(db, &e), 0);
	add(1, "b", 2, true);
	assert_int_equal(pairs_gone(db, a, a, 9, &e), 0);
	db_rollback(db);
	assert_string_equal(pending(1), "");
	assert_string_not_equal(present(1), "");
	assert_int_equal(pairs_summary(db, 1, &sum, &e), 0);
	assert_int_equal(sum.max_id, a);
	/* also what was not even looked at */
	assert_int_equal(db_begin(db, &e), 0);
	add(1, "c", 3, false);
	db_rollback(db);
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
	assert_int_equal(pairs_summary(db, 1, &sum, &e), 0);
	assert_int_equal(sum.max_id, a);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, base_setup_begun, base_teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_added_is_found), T(keys_of_all_kinds), T(pending_until_settled), T(by_content), T(gone_and_back), T(without_name),
		T(one_pair_for_a_key), T(no_commit_without_all), T(many_at_once), T(moved), T(told), T(by_object), T(by_key), T(among_many_folders), T(purge), T(a_walk_can_be_stopped), T(no_id_twice), T(rolled_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
