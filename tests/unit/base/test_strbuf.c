#include "../../lib/unit.h"

#include "base/strbuf.h"

void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

/* The linker leads the calls here: memory can run out, and is looked at when it is given back. */
static struct {
	bool out_of_memory;
	const void *watch; /* this block, of so many bytes, must hold no 's' when it goes */
	size_t size;
	int seen, dirty;
} mem;

static void look(const void *p)
{
	if (!p || p != mem.watch)
		return;
	mem.seen++;
	if (memchr(p, 's', mem.size))
		mem.dirty++;
	mem.watch = NULL;
}

static void watch(const struct strbuf *b)
{
	mem.watch = b->s;
	mem.size = b->cap;
}

void *__wrap_malloc(size_t n)
{
	return mem.out_of_memory ? NULL : __real_malloc(n);
}

void *__wrap_realloc(void *p, size_t n)
{
	look(p);
	return mem.out_of_memory ? NULL : __real_realloc(p, n);
}

void __wrap_free(void *p)
{
	look(p);
	__real_free(p);
}

static void puts_and_views(void **state)
{
	struct strbuf b = STRBUF_INIT(100);

	(void)state;
	assert_string_equal(strbuf_str(&b), "");
	assert_int_equal(strbuf_slice(&b).n, 0);
	assert_int_equal(strbuf_put(&b, "ab\0c", 4), 0);
	assert_int_equal(strbuf_puts(&b, "de"), 0);
	assert_int_equal(strbuf_putc(&b, 'f'), 0);
	assert_int_equal(strbuf_putsl(&b, SLICE_LIT("gh")), 0);
	assert_int_equal(strbuf_putsl(&b, (struct slice){ NULL, 0 }), 0);
	assert_int_equal(strbuf_printf(&b, "%d-%s", 12, "x"), 0);
	assert_int_equal(b.len, 13);
	assert_memory_equal(b.s, "ab\0cdefgh12-x", 14);
	strbuf_cut(&b, 50);
	assert_int_equal(b.len, 13);
	strbuf_cut(&b, 2);
	assert_string_equal(b.s, "ab");
	strbuf_clear(&b);
	assert_string_equal(strbuf_str(&b), "");
	assert_true(b.cap > 0);
	strbuf_release(&b);
	assert_null(b.s);
	/* usable again */
	assert_int_equal(strbuf_puts(&b, "again"), 0);
	assert_string_equal(strbuf_str(&b), "again");
	strbuf_release(&b);
}

static void maximum(void **state)
{
	(void)state;
	for (size_t max = 0; max < 200; max++) {
		struct strbuf b = STRBUF_INIT(max);

		for (size_t i = 0; i < max; i++)
			assert_int_equal(strbuf_putc(&b, (char)('a' + i % 26)), 0);
		assert_int_equal(b.len, max);
		assert_false(b.failed);
		assert_int_equal(strbuf_putc(&b, 'X'), -1);
		assert_true(b.failed);
		assert_int_equal(b.len, max);
		for (size_t i = 0; i < max; i++)
			assert_int_equal(b.s[i], 'a' + i % 26);
		strbuf_release(&b);
	}
}

static void failure_is_sticky(void **state)
{
	struct strbuf b = STRBUF_INIT(10);

	(void)state;
	assert_int_equal(strbuf_puts(&b, "12345"), 0);
	assert_int_equal(strbuf_printf(&b, "%s", "678901"), -1);
	assert_int_equal(strbuf_puts(&b, "6"), -1);
	assert_null(strbuf_room(&b, 1));
	assert_string_equal(b.s, "12345");
	assert_int_equal(strbuf_put(&b, "", SIZE_MAX), -1);
	strbuf_clear(&b);
	assert_false(b.failed);
	assert_int_equal(strbuf_puts(&b, "0123456789"), 0);
	strbuf_release(&b);
}

static void room(void **state)
{
	struct strbuf b = STRBUF_INIT(1000);
	char *p = strbuf_room(&b, 1000);

	(void)state;
	assert_non_null(p);
	memset(p, 'r', 1000);
	strbuf_added(&b, 0);
	assert_int_equal(b.len, 0);
	strbuf_added(&b, 999);
	assert_int_equal(strlen(b.s), 999);
	assert_null(strbuf_room(&b, 2));
	strbuf_release(&b);
	strbuf_added(&b, 0);
	strbuf_release(&b);
}

static void shifting(void **state)
{
	struct strbuf b = STRBUF_INIT(100);

	(void)state;
	strbuf_shift(&b, 5);
	strbuf_puts(&b, "headtail");
	strbuf_shift(&b, 0);
	strbuf_shift(&b, 4);
	assert_string_equal(b.s, "tail");
	strbuf_shift(&b, 99);
	assert_string_equal(b.s, "");
	assert_int_equal(b.len, 0);
	strbuf_release(&b);
}

static void detaching(void **state)
{
	struct strbuf b = STRBUF_INIT(100);
	char *s;

	(void)state;
	strbuf_puts(&b, "mine");
	s = strbuf_detach(&b);
	assert_string_equal(s, "mine");
	assert_null(b.s);
	assert_int_equal(b.len, 0);
	free(s);
	s = strbuf_detach(&b);
	assert_string_equal(s, "");
	free(s);
	/* one that failed before its first byte still gives a string */
	b.max = 0;
	assert_int_equal(strbuf_putc(&b, 'x'), -1);
	s = strbuf_detach(&b);
	assert_string_equal(s, "");
	free(s);
}

static void out_of_memory(void **state)
{
	struct strbuf b = STRBUF_INIT(10000), c = STRBUF_SECRET(10000);
	int plain, secret;

	(void)state;
	strbuf_puts(&b, "kept");
	strbuf_puts(&c, "kept");
	mem.out_of_memory = true;
	plain = strbuf_printf(&b, "%5000s", "x");
	secret = strbuf_printf(&c, "%5000s", "x");
	mem.out_of_memory = false;
	assert_int_equal(plain, -1);
	assert_int_equal(secret, -1);
	assert_true(b.failed && c.failed);
	assert_string_equal(b.s, "kept");
	assert_string_equal(c.s, "kept");
	strbuf_release(&b);
	strbuf_release(&c);
}

static void secrets_are_wiped(void **state)
{
	struct strbuf b = STRBUF_SECRET(100000);
	const char *before;
	char *p;

	(void)state;
	mem.seen = mem.dirty = 0;
	strbuf_puts(&b, "ssssssss");
	watch(&b);
	before = b.s;
	strbuf_printf(&b, "%5000s", "s"); /* moves */
	assert_ptr_not_equal(before, b.s);
	assert_int_equal(mem.seen, 1);
	strbuf_shift(&b, 4);
	strbuf_cut(&b, 2);
	assert_string_equal(b.s, "ss");
	assert_null(memchr(b.s + 2, 's', b.cap - 2));
	/* what was written to the room and never added goes as well */
	p = strbuf_room(&b, 1000);
	memset(p, 's', 1000);
	strbuf_clear(&b);
	assert_null(memchr(b.s, 's', b.cap));
	p = strbuf_room(&b, 1000);
	memset(p, 's', 1000);
	watch(&b);
	strbuf_release(&b);
	assert_int_equal(mem.seen, 2);
	assert_int_equal(mem.dirty, 0);
}

static void watching_works(void **state)
{
	struct strbuf b = STRBUF_INIT(100); /* no secret: stays as it is */

	(void)state;
	mem.seen = mem.dirty = 0;
	strbuf_puts(&b, "ssss");
	watch(&b);
	strbuf_release(&b);
	assert_int_equal(mem.seen, 1);
	assert_int_equal(mem.dirty, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_and_views),
		cmocka_unit_test(maximum),
		cmocka_unit_test(failure_is_sticky),
		cmocka_unit_test(room),
		cmocka_unit_test(shifting),
		cmocka_unit_test(detaching),
		cmocka_unit_test(out_of_memory),
		cmocka_unit_test(secrets_are_wiped),
		cmocka_unit_test(watching_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
