#include "../../lib/unit.h"

#include "base/log.h"

struct record {
	int count;
	enum log_level level;
	char context[512], text[4096];
};

static void keep(void *arg, enum log_level level, const char *context, const char *text)
{
	struct record *r = arg;

	r->count++;
	r->level = level;
	snprintf(r->context, sizeof(r->context), "%s", context);
	snprintf(r->text, sizeof(r->text), "%s", text);
}

static void no_sink(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	log_set_level(LOG_WIRE);
	for (enum log_level l = LOG_ERROR; l <= LOG_WIRE; l++) {
		assert_false(log_on(l));
		log_at(l, "nowhere");
	}
}

static void levels(void **state)
{
	struct record r = { 0 };

	(void)state;
	log_set_sink(keep, &r);
	for (enum log_level set = LOG_ERROR; set <= LOG_WIRE; set++) {
		log_set_level(set);
		for (enum log_level l = LOG_ERROR; l <= LOG_WIRE; l++) {
			r.count = 0;
			log_at(l, "n=%d", 5);
			assert_int_equal(r.count, l <= set);
			assert_int_equal(log_on(l), l <= set);
			if (l <= set) {
				assert_int_equal(r.level, l);
				assert_string_equal(r.text, "n=5");
				assert_string_equal(r.context, "");
			}
		}
	}
	log_warn("w");
	assert_int_equal(r.level, LOG_WARN);
	log_info("i");
	assert_int_equal(r.level, LOG_INFO);
	log_debug("d");
	assert_int_equal(r.level, LOG_DEBUG);
	log_set_sink(NULL, NULL);
}

static void foreign_text(void **state)
{
	struct record r = { 0 };
	char big[10000];

	(void)state;
	log_set_sink(keep, &r);
	log_push("box/%s", "\033[2J");
	log_warn("server says: %s", "\033]0;owned\a\r\n");
	assert_string_equal(r.text, "server says: \\x1b]0;owned\\x07\\x0d\\x0a");
	assert_string_equal(r.context, "box/\\x1b[2J");
	log_pop();
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	log_warn("%s", big);
	assert_true(strlen(r.text) < 2500);
	assert_string_equal(r.text + strlen(r.text) - 3, "...");
	log_set_sink(NULL, NULL);
}

static void contexts(void **state)
{
	struct record r = { 0 };

	(void)state;
	log_set_sink(keep, &r);
	log_set_level(LOG_INFO);
	log_pop(); /* one too many is nothing */
	log_push("isp");
	log_info("a");
	assert_string_equal(r.context, "isp");
	log_push("isp/%s", "INBOX");
	log_info("a");
	assert_string_equal(r.context, "isp/INBOX");
	for (int i = 3; i <= 20; i++)
		log_push("depth %d", i);
	log_info("a");
	assert_string_equal(r.context, "depth 8");
	for (int i = 20; i >= 3; i--)
		log_pop();
	log_info("a");
	assert_string_equal(r.context, "isp/INBOX");
	log_pop();
	log_info("a");
	assert_string_equal(r.context, "isp");
	log_pop();
	log_info("a");
	assert_string_equal(r.context, "");
	log_set_sink(NULL, NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_sink),
		cmocka_unit_test(levels),
		cmocka_unit_test(foreign_text),
		cmocka_unit_test(contexts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
