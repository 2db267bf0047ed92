/* Sources of secrets. */
#include "../../lib/unit.h"

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/secret.h"

static char dir[256], path[320], netrc[320];

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%.200s/secret-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pass", dir);
	snprintf(netrc, sizeof(netrc), "%s/.netrc", dir);
	unsetenv("NETRC");
	return setenv("HOME", dir, 1);
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	unlink(netrc);
	return rmdir(dir);
}

/* A file of some bytes and mode. */
static void put(const char *name, const void *p, size_t n, mode_t mode)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(name, mode), 0);
}

/* Get a secret; a failure must leave nothing behind and show nothing of "hunter2". */
static int get(const struct secret_params *p, struct strbuf *out, msec_t ms, struct err *e)
{
	int rc;

	strbuf_puts(out, "old");
	err_clear(e);
	rc = secret_get(p, out, clock_in(ms), e);
	assert_true(out->secret);
	if (rc < 0) {
		assert_int_equal(rc, -1);
		assert_int_equal(out->len, 0);
		assert_null(strstr(e->text, "hunter2"));
	} else {
		assert_int_equal(rc, 0);
		assert_int_equal(e->kind, ERR_NONE);
	}
	return rc;
}

/* want, or part of the error. */
static const struct {
	const char *command, *want, *error;
	enum err_kind kind;
} commands[] = {
	{ "echo hunter2", "hunter2", 0, 0 },
	{ "printf hunter2", "hunter2", 0, 0 },
	{ "printf 'hunter2\\r\\nuser: jane\\n'", "hunter2", 0, 0 },
	{ "printf ' two words \\nx'", " two words ", 0, 0 },
	{ "printf 'a\\rb\\n'", "a\rb", 0, 0 },
	{ "echo hunter2; echo warning >&2", "hunter2", 0, 0 },
	{ "cat; echo end", "end", 0, 0 }, /* stdin is empty */
	{ "true", 0, "the password command gave an empty password", ERR_CONF },
	{ "echo", 0, "empty", ERR_CONF },
	{ "printf '\\r\\nhunter2\\n'", 0, "empty", ERR_CONF },
	{ "printf 'hunter2\\0x\\n'", 0, "NUL", ERR_CONF },
	{ "/nonexistent/hunter2x 2>/dev/null", 0, "the password command: ", ERR_LOCAL },
	{ "echo hunter2; echo first >&2; echo locked store >&2; exit 3", 0, "locked store (run it in a shell to see why)", ERR_LOCAL },
	{ "echo hunter2; kill -KILL $$", 0, "the password command: ", ERR_LOCAL },
	{ "head -c 100000 /dev/zero", 0, "the password command: ", ERR_LOCAL },
	{ "yes hunter2", 0, "the password command: ", ERR_LOCAL },
};

static void test_commands(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(commands); i++) {
		struct secret_params p = { .command = commands[i].command };
		struct strbuf out = STRBUF_INIT(SECRET_MAX);
		struct err e = ERR_INIT;
		int rc = get(&p, &out, 20000, &e);

		if (commands[i].want) {
			if (rc < 0)
				fail_msg("row %zu: %s", i, e.text);
			assert_string_equal(strbuf_str(&out), commands[i].want);
		} else if (rc == 0 || e.kind != commands[i].kind || !strstr(e.text, commands[i].error)) {
			fail_msg("row %zu: %d %s %s", i, rc, err_kind_name(e.kind), e.text);
		}
		strbuf_release(&out);
	}
}

static void test_hanging(void **state)
{
	struct secret_params p = { .command = "echo hunter2; sleep 60" };
	struct strbuf out = STRBUF_INIT(SECRET_MAX);
	struct err e = ERR_INIT;
	msec_t before = clock_now();

	(void)state;
	assert_int_equal(get(&p, &out, 200, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_true(clock_now() - before < 10000);
	strbuf_release(&out);
}

static void test_file(void **state)
{
	static const char nul[] = "hunter2\0\n";
	struct secret_params p = { .file = path };
	struct strbuf out = STRBUF_INIT(SECRET_MAX);
	struct err e = ERR_INIT;
	char *big = calloc(1, SECRET_MAX + 1);

	(void)state;
	assert_non_null(big);
	assert_int_equal(get(&p, &out, 1000, &e), -1); /* missing */
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_non_null(strstr(e.text, path));
	put(path, "hunter2\r\nhint\n", 15, 0600);
	assert_int_equal(get(&p, &out, 1000, &e), 0);
	assert_string_equal(strbuf_str(&out), "hunter2");
	assert_int_equal(chmod(path, 0604), 0);
	assert_int_equal(get(&p, &out, 1000, &e), -1);
	assert_int_equal(e.kind, ERR_PERM);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(get(&p, &out, 1000, &e), -1);
	assert_int_equal(e.kind, ERR_PERM);
	put(path, "", 0, 0600);
	assert_int_equal(get(&p, &out, 1000, &e), -1);
	assert_non_null(strstr(e.text, "the password file gave an empty password"));
	put(path, nul, sizeof(nul) - 1, 0600);
	assert_int_equal(get(&p, &out, 1000, &e), -1);
	assert_non_null(strstr(e.text, "NUL"));
	memset(big, 'x', SECRET_MAX + 1);
	put(path, big, SECRET_MAX + 1, 0600);
	assert_int_equal(get(&p, &out, 1000, &e), -1);
	put(path, big, SECRET_MAX, 0600);
	assert_int_equal(get(&p, &out, 1000, &e), 0);
	assert_int_equal(out.len, SECRET_MAX);
	p.file = "~/pass";
	put(path, "home", 4, 0600);
	assert_int_equal(get(&p, &out, 1000, &e), 0);
	assert_string_equal(strbuf_str(&out), "home");
	p.file = dir; /* not a file */
	assert_int_equal(get(&p, &out, 1000, &e), -1);
	free(big);
	strbuf_release(&out);
}

/* A line longer than the caller's buffer is no password cut short. */
static void test_short_buffer(void **state)
{
	struct secret_params p = { .command = "echo hunter2hunter2" };
	struct strbuf out = STRBUF_INIT(8);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(get(&p, &out, 20000, &e), -1);
	assert_non_null(strstr(e.text, "too long"));
	strbuf_release(&out);
}

static void test_literal(void **state)
{
	struct secret_params p = { .literal = " as it\nis " };
	struct strbuf out = STRBUF_INIT(SECRET_MAX);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(get(&p, &out, 1000, &e), 0);
	assert_string_equal(strbuf_str(&out), " as it\nis ");
	p.literal = "";
	assert_int_equal(get(&p, &out, 1000, &e), -1);
	assert_non_null(strstr(e.text, "the password in the configuration gave an empty password"));
	strbuf_release(&out);
}

static void test_netrc(void **state)
{
	static const char text[] = "machine h login u password hunter2\n";
	static const char broken[] = "machine h login u\npassword a hunter2\n";
	static const char empty[] = "machine h password \"\"";
	struct secret_params p = { .netrc = true, .host = "h", .user = "u", .port = "995" };
	struct strbuf out = STRBUF_INIT(SECRET_MAX);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(get(&p, &out, 1000, &e), -1); /* missing */
	assert_non_null(strstr(e.text, netrc));
	put(netrc, text, sizeof(text) - 1, 0600);
	assert_int_equal(get(&p, &out, 1000, &e), 0);
	assert_string_equal(strbuf_str(&out), "hunter2");
	p.user = "other";
	assert_int_equal(get(&p, &out, 1000, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_non_null(strstr(e.text, "no entry for other@h"));
	p.user = "u";
	assert_int_equal(chmod(netrc, 0644), 0);
	assert_int_equal(get(&p, &out, 1000, &e), -1);
	assert_int_equal(e.kind, ERR_PERM);
	put(netrc, broken, sizeof(broken) - 1, 0600);
	assert_int_equal(get(&p, &out, 1000, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_non_null(strstr(e.text, "line 2"));
	put(netrc, empty, sizeof(empty) - 1, 0600);
	assert_int_equal(get(&p, &out, 1000, &e), -1);
	assert_non_null(strstr(e.text, "netrc gave an empty password"));
	/* $NETRC before ~/.netrc, the named file before both */
	put(path, "machine h password env", 22, 0600);
	assert_int_equal(setenv("NETRC", path, 1), 0);
	assert_int_equal(get(&p, &out, 1000, &e), 0);
	assert_string_equal(strbuf_str(&out), "env");
	put(netrc, "machine h password named", 24, 0600);
	p.netrc_file = "~/.netrc";
	assert_int_equal(get(&p, &out, 1000, &e), 0);
	assert_string_equal(strbuf_str(&out), "named");
	strbuf_release(&out);
}

/* A person at a keyboard. */
static int answer(void *arg, const char *what, struct strbuf *out, struct err *e)
{
	const char *text = arg;

	assert_string_equal(what, "password for u@h");
	if (!text)
		return err_set(e, ERR_CONF, "there is no terminal");
	return strbuf_puts(out, text);
}

static void test_prompt(void **state)
{
	static char typed[] = "hunter2", nothing[] = "";
	struct secret_params p = { .host = "h", .user = "u" };
	struct strbuf out = STRBUF_INIT(SECRET_MAX);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(get(&p, &out, 1000, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_non_null(strstr(e.text, "no password is set for u@h (set password-command"));
	p.prompt = answer;
	assert_int_equal(get(&p, &out, 1000, &e), -1);
	assert_non_null(strstr(e.text, "no terminal"));
	p.prompt_arg = nothing;
	assert_int_equal(get(&p, &out, 1000, &e), -1);
	assert_non_null(strstr(e.text, "the prompt gave an empty password"));
	p.prompt_arg = typed;
	assert_int_equal(get(&p, &out, 1000, &e), 0);
	assert_string_equal(strbuf_str(&out), "hunter2");
	strbuf_release(&out);
}

/* The first source that is set is the only one: its failure is not covered up by the next. */
static void test_order(void **state)
{
	static char typed[] = "prompt";
	struct secret_params p = { .command = "echo command", .file = path, .literal = "literal", .netrc = true,
				   .host = "h", .user = "u", .prompt = answer, .prompt_arg = typed };
	struct strbuf out = STRBUF_INIT(SECRET_MAX);
	struct err e = ERR_INIT;

	(void)state;
	put(path, "file", 4, 0600);
	put(netrc, "default password netrc", 22, 0600);
	assert_int_equal(get(&p, &out, 20000, &e), 0);
	assert_string_equal(strbuf_str(&out), "command");
	p.command = "false";
	assert_int_equal(get(&p, &out, 20000, &e), -1);
	p.command = NULL;
	assert_int_equal(get(&p, &out, 1000, &e), 0);
	assert_string_equal(strbuf_str(&out), "file");
	p.file = NULL;
	assert_int_equal(get(&p, &out, 1000, &e), 0);
	assert_string_equal(strbuf_str(&out), "literal");
	p.literal = NULL;
	assert_int_equal(get(&p, &out, 1000, &e), 0);
	assert_string_equal(strbuf_str(&out), "netrc");
	p.netrc = false;
	assert_int_equal(get(&p, &out, 1000, &e), 0);
	assert_string_equal(strbuf_str(&out), "prompt");
	strbuf_release(&out);
}

enum { NO_LIMIT = 1, SKIPPED, DUMPABLE, NOT_DUMPABLE };

/* Harden a child, traced by us or not, and say what became of it. */
static int hardened(bool traced)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit core = { 1, 1 };

		if (traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(SKIPPED);
		secret_harden();
		if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_cur != 0 || core.rlim_max != 0)
			_exit(NO_LIMIT);
		_exit(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) ? DUMPABLE : NOT_DUMPABLE);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_harden(void **state)
{
	int rc = hardened(true);

	(void)state;
	if (rc == SKIPPED) /* a tracer is there already: strace -f make check */
		skip();
	assert_int_equal(rc, DUMPABLE);
	assert_int_equal(hardened(false), NOT_DUMPABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hanging, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_literal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_netrc, setup, teardown),
		cmocka_unit_test_setup_teardown(test_prompt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test(test_harden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
