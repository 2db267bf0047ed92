#include "../../lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/proc.h"
#include "job/confine.h"

#define LONG 30000 /* ms that no test waits out */

static char *dir;
static int report = -1; /* of a child: what it found wrong */

static int setup(void **state)
{
	struct sandbox_kernel k;
	struct err e = ERR_INIT;

	(void)state;
	clock_cancel_clear();
	sandbox_look(&k);
	dir = scratch_make();
	setenv("HOME", dir, 1);
	setenv("TMPDIR", scratch_path(dir, "tmp"), 1);
	unsetenv("SSL_CERT_FILE");
	if (k.landlock < SANDBOX_LANDLOCK_MIN)
		print_message("no Landlock here\n");
	for (const char *const *d = (const char *const[]){ "mail", "tmp", "isync", "keys", "house", "boxes", "far", NULL }; *d; d++)
		if (fs_mkdirs(scratch_path(dir, *d), 0700, &e) < 0)
			return -1;
	return clock_cancel_init(NULL);
}

static int teardown(void **state)
{
	(void)state;
	unsetenv("TMPDIR");
	scratch_remove(dir);
	return 0;
}

static void make(const char *name)
{
	int fd = open(scratch_path(dir, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "sesame\n", 7), 7);
	close(fd);
}

/* In the child: is it within reach, for reading or writing? */
static void reach(const char *name, bool reads, bool writes)
{
	const char *path = name[0] == '/' ? name : scratch_path(dir, name);
	int r = open(path, O_RDONLY | O_CLOEXEC), w = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if ((r >= 0 || (writes && errno == ENOENT)) != reads && !(w >= 0 && reads))
		dprintf(report, "%s can%s be read\n", name, reads ? "not" : "");
	if ((w >= 0) != writes)
		dprintf(report, "%s can%s be written\n", name, writes ? "not" : "");
	if (r >= 0)
		close(r);
	if (w >= 0)
		close(w);
}

/* Enter the job of this configuration in a child and look around; what it says is wrong fails the test. */
static void in_job(const char *conf, const struct job_params *how, void (*look)(void))
{
	struct strbuf said = STRBUF_INIT(10000), problems = STRBUF_INIT(10000);
	struct err e = ERR_INIT;
	struct config c;
	char buf[1000];
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	if (config_load_text("t", slice_str(conf), &c, &problems, &e) < 0)
		fail_msg("%s", strbuf_str(&problems));
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		struct job_params p = *how;
		struct confine confine;

		report = fds[1];
		alarm(LONG / 1000);
		clock_cancel_init(NULL);
		p.job = &c.jobs[0];
		p.state_dir = scratch_path(dir, "deep/state");
		if (confine_enter(&confine, &p, &e) < 0)
			dprintf(report, "%s\n", e.text);
		else
			look();
		confine_leave(&confine);
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], buf, sizeof(buf))) > 0)
		strbuf_put(&said, buf, (size_t)n);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_string_equal(strbuf_str(&said), "");
	assert_int_equal(status, 0);
	strbuf_release(&said);
	strbuf_release(&problems);
	config_release(&c);
}

static void need_landlock(void)
{
	struct sandbox_kernel k;
	const char *preloaded = getenv("LD_PRELOAD");

	sandbox_look(&k);
	if (k.landlock < SANDBOX_LANDLOCK_MIN || (preloaded && strstr(preloaded, "vgpreload")))
		skip();
}

static void look_at_sync(void)
{
	struct strbuf out = STRBUF_INIT(1000);
	struct err e = ERR_INIT;
	struct proc p;

	reach("mail/new", true, true);
	reach("deep/state/x.db", true, true);
	reach("isync/:work:_INBOX", true, false);
	reach("keys/ca.pem", true, false);
	reach("keys/cert.pem", true, false);
	reach("house/secret", true, false);
	reach("house/other", false, false);
	reach("keys/other", false, false);
	reach(".ssh", false, false);
	reach("/etc/passwd", true, false);
	reach("/proc/self/environ", false, false);
	/* what is in the configuration is run, the tunnel as it is dialled; nothing else is */
	if (proc_output("true", &out, clock_in(LONG), &e) < 0 || proc_output("cat ~/house/other", &out, clock_in(LONG), &e) < 0)
		dprintf(report, "on-new, on-change: %s\n", e.text);
	if (proc_output("echo other", &out, clock_in(LONG), &e) == 0)
		dprintf(report, "a command that stands nowhere was run\n");
	if (proc_start(&p, "cat mail.example.org 993 100%", false, &e) < 0)
		dprintf(report, "tunnel: %s\n", e.text);
	else
		proc_stop(&p, LONG);
	strbuf_release(&out);
}

/* All that a job names is there for it. */
static void what_a_sync_needs(void **state)
{
	static const char conf[] = "account work { url = 'imaps://jane@mail.example.org' password-file = ~/house/secret ca-file = ~/keys/ca.pem\n"
				   " client-cert = ~/keys/cert.pem tunnel = 'cat %h %p 100%%' }\n"
				   "sync both { remote = work local = 'maildir:~/mail' take-over = '~/isync/:work:_*' on-new = 'true' on-change = 'cat ~/house/other' }\n";

	(void)state;
	need_landlock();
	for (const char *const *f = (const char *const[]){ "isync/:work:_INBOX", "keys/ca.pem", "keys/cert.pem", "keys/other", "house/secret", "house/other", ".ssh", NULL }; *f; f++)
		make(*f);
	in_job(conf, &(const struct job_params){ .dry_run = false }, look_at_sync);
	assert_int_equal(access(scratch_path(dir, "deep/state"), W_OK), 0);
}

static void look_at_dry_run(void)
{
	struct strbuf out = STRBUF_INIT(1000);
	struct err e = ERR_INIT;

	reach("deep", false, false);
	if (proc_output("true", &out, clock_in(LONG), &e) == 0)
		dprintf(report, "on-new was run\n");
	strbuf_release(&out);
}

/* A dry run makes nothing, and has no commands to run after it. */
static void a_dry_run(void **state)
{
	(void)state;
	need_landlock();
	in_job("sync both { remote = 'maildir:~/far' local = 'maildir:~/mail' on-new = 'true' }", &(const struct job_params){ .dry_run = true }, look_at_dry_run);
	assert_int_equal(access(scratch_path(dir, "deep"), F_OK), -1);
}

static void look_at_boxes(void)
{
	reach("boxes/Lists", true, true);
	reach("boxes/Lists.lock", true, true);
	reach("far/archive", true, true);
	reach("far/archive.lock", true, true);
	reach("house/secret", false, false);
	reach("tmp/x", true, true);
}

/* A tree of mbox files, one of which is elsewhere. */
static void links_in_a_tree(void **state)
{
	(void)state;
	need_landlock();
	make("far/archive");
	make("house/secret");
	make("boxes/Lists");
	assert_int_equal(mkdir(scratch_path(dir, "boxes/Old.sbd"), 0700), 0);
	assert_int_equal(symlink("../../far/archive", scratch_path(dir, "boxes/Old.sbd/archive")), 0);
	in_job("sync both { remote = 'maildir:~/mail' local = 'mbox:~/boxes' }", &(const struct job_params){ .dry_run = false }, look_at_boxes);
}

static void look_at_one_box(void)
{
	reach("far/inbox", true, true);
	reach("far/inbox.lock", true, true);
	reach("keys/corp.pem", true, false);
	reach(".netrc", true, false);
	reach("house/secret", false, false);
}

/* An mbox file that is not there yet; authorities that the environment names; the password of netrc. */
static void one_box(void **state)
{
	(void)state;
	need_landlock();
	make("keys/corp.pem");
	make(".netrc");
	make("house/secret");
	setenv("SSL_CERT_FILE", scratch_path(dir, "keys/corp.pem"), 1);
	in_job("account isp { url = 'pop3s://jane@pop.example.org' netrc = yes }\nfetch f { from = isp to = 'mbox:~/far/inbox' }", &(const struct job_params){ .dry_run = false },
	       look_at_one_box);
}

static void look_unconfined(void)
{
	reach("house/secret", true, true);
}

static void off(void **state)
{
	(void)state;
	make("house/secret");
	in_job("sync both { remote = 'maildir:~/far' local = 'maildir:~/mail' sandbox = no }", &(const struct job_params){ .dry_run = false }, look_unconfined);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_a_sync_needs, setup, teardown),
		cmocka_unit_test_setup_teardown(a_dry_run, setup, teardown),
		cmocka_unit_test_setup_teardown(links_in_a_tree, setup, teardown),
		cmocka_unit_test_setup_teardown(one_box, setup, teardown),
		cmocka_unit_test_setup_teardown(off, setup, teardown),
	};

	setenv("LC_ALL", "C", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
